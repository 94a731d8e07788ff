//! What the machine does with memory that a client, or the daemon, has not locked.

use super::{Finding, Health};
use rustix::fs::{major, minor};
use std::fs::read_to_string;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

pub(super) fn look() -> Vec<Finding> {
    let mut findings = swap(Path::new("/"));
    findings.push(tracing(read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok().as_deref()));
    findings.push(rules(Path::new("/")));
    findings
}

/// Swap that is not encrypted keeps what a client had in its memory. `root`: where `/proc` and `/sys` are.
fn swap(root: &Path) -> Vec<Finding> {
    let Ok(swaps) = read_to_string(root.join("proc/swaps")) else {
        return vec![Finding::new("swap", Health::Unknown, "the kernel does not say what it swaps to", "")];
    };
    let areas: Vec<_> = swaps.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    if areas.is_empty() {
        return vec![Finding::good("swap", "there is none")];
    }
    areas.into_iter().map(|area| area_of(root, area)).collect()
}

fn area_of(root: &Path, area: &str) -> Finding {
    // The kernel writes a space as \040.
    let path = PathBuf::from(area.replace("\\040", " "));
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if path.starts_with("/dev") && name.starts_with("zram") {
        return Finding::good("swap", format!("{area} is compressed memory, gone with the power"));
    }
    let device = if path.starts_with("/dev") {
        let real = std::fs::canonicalize(&path).unwrap_or(path);
        real.file_name().map(|name| root.join("sys/class/block").join(name))
    } else {
        let on = std::fs::metadata(&path).ok().map(|file| file.dev());
        on.map(|on| root.join(format!("sys/dev/block/{}:{}", major(on), minor(on))))
    };
    match device.filter(|device| device.exists()).map(|device| is_encrypted(&device)) {
        Some(true) => Finding::good("swap", format!("{area} is encrypted")),
        Some(false) => Finding::new(
            "swap",
            Health::Weak,
            format!("{area} is not encrypted: a PIN that a program had in its memory may stay on the disk"),
            "encrypt it with a random key at each boot (crypttab: swap), or use zram instead",
        ),
        None => Finding::new(
            "swap",
            Health::Unknown,
            format!("where {area} lies cannot be told"),
            "see to it that it is on an encrypted device",
        ),
    }
}

/// Whether a block device is dm-crypt's, or stands on such ones alone.
fn is_encrypted(device: &Path) -> bool {
    if read_to_string(device.join("dm/uuid")).is_ok_and(|uuid| uuid.starts_with("CRYPT-")) {
        return true;
    }
    let Ok(slaves) = std::fs::read_dir(device.join("slaves")) else { return false };
    let mut slaves = slaves.filter_map(Result::ok).map(|slave| slave.path()).peekable();
    slaves.peek().is_some() && slaves.all(|slave| is_encrypted(&slave))
}

fn tracing(scope: Option<&str>) -> Finding {
    let about = "tracing";
    match scope.map(str::trim) {
        Some("0") => Finding::new(
            about,
            Health::Weak,
            "every program of yours can read the memory of rootseal while a PIN is typed",
            "sysctl kernel.yama.ptrace_scope=1, and the same in /etc/sysctl.d",
        ),
        Some(_) => Finding::good(about, "programs cannot trace others of their user (Yama)"),
        None => Finding::new(
            about,
            Health::Weak,
            "the kernel has no Yama: every program of yours can read the memory of rootseal while a PIN is typed",
            "use a kernel with CONFIG_SECURITY_YAMA",
        ),
    }
}

/// systemd's rule that marks FIDO tokens, on which access to them rests.
fn rules(root: &Path) -> Finding {
    let about = "udev-rules";
    let places = ["usr/lib/udev/rules.d", "lib/udev/rules.d", "etc/udev/rules.d"];
    if places.iter().any(|place| root.join(place).join("60-fido-id.rules").exists()) {
        return Finding::good(about, "udev marks FIDO tokens for the user at the screen");
    }
    Finding::new(
        about,
        Health::Weak,
        "udev has no rule for FIDO tokens (60-fido-id.rules): only root can open them",
        "install systemd's udev, 244 or newer",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir_all, write};

    /// A machine's `/proc` and `/sys`, as far as they are read here.
    fn machine(name: &str, swaps: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("rootseal-doctor-{name}-{}", std::process::id()));
        create_dir_all(root.join("proc")).unwrap();
        write(root.join("proc/swaps"), format!("Filename Type Size Used Priority\n{swaps}")).unwrap();
        root
    }

    fn dm(root: &Path, name: &str, uuid: &str, slaves: &[&str]) {
        let device = root.join("sys/class/block").join(name);
        create_dir_all(device.join("dm")).unwrap();
        write(device.join("dm/uuid"), uuid).unwrap();
        for slave in slaves {
            create_dir_all(device.join("slaves").join(slave).join("dm")).unwrap();
            let uuid = read_to_string(root.join("sys/class/block").join(slave).join("dm/uuid"));
            write(device.join("slaves").join(slave).join("dm/uuid"), uuid.unwrap()).unwrap();
        }
    }

    #[test]
    fn swap_is_good_where_it_is_none_compressed_or_encrypted() {
        let healths = |root: &Path| swap(root).iter().map(|finding| finding.health).collect::<Vec<_>>();
        let none = machine("none", "");
        assert_eq!(healths(&none), [Health::Good]);
        let root = machine(
            "some",
            "/dev/zram0 partition 1 0 5\n/dev/dm-9001 partition 1 0 5\n/dev/dm-9002 p 1 0 5\n\
                                    /dev/sd9001 partition 1 0 -2\n/dev/gone partition 1 0 -2\n",
        );
        dm(&root, "dm-9001", "CRYPT-PLAIN-swap\n", &[]);
        dm(&root, "dm-9002", "LVM-vg\n", &["dm-9001"]);
        create_dir_all(root.join("sys/class/block/sd9001")).unwrap();
        assert_eq!(healths(&root), [Health::Good, Health::Good, Health::Good, Health::Weak, Health::Unknown]);
        for root in [none, root] {
            std::fs::remove_dir_all(root).unwrap();
        }
    }

    #[test]
    fn tracing_is_weak_without_yama() {
        let health = |scope| tracing(scope).health;
        assert_eq!(
            [Some("0\n"), Some("1\n"), Some("2"), None].map(health),
            [Health::Weak, Health::Good, Health::Good, Health::Weak]
        );
    }
}
