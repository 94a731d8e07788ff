//! Where a request may go. A signed request is a bearer secret and carries an MFA code, so its target is
//! one of AWS's own hosts or one that the daemon's configuration names.

use super::{Error, Partition, Region};

/// The root of a service: scheme, host, port; its path is always `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    target: Target,
    region: Region,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    https: bool,
    host: String,
    /// As given; left out where it is the scheme's default.
    port: Option<u16>,
}

impl Endpoint {
    /// The STS endpoint for requests of `partition`: its own, or `wanted` (a URL) where that is allowed:
    /// https to an STS host of the partition, or what `allowed` (URLs from the daemon's configuration) names.
    /// Plain http must be named there and lead to loopback, too.
    ///
    /// Without a region, the public partition's global endpoint serves; the others have regional ones only.
    ///
    /// # Errors
    /// [`Error::EndpointForm`], [`Error::EndpointHost`] or [`Error::PlainHttp`], all about `wanted`.
    pub fn choose(
        partition: Partition,
        region: Option<&Region>,
        wanted: Option<&str>,
        allowed: &[String],
    ) -> Result<Self, Error> {
        let signing = || region.cloned().unwrap_or_else(|| partition.default_region());
        let Some(wanted) = wanted else {
            let host = match (region, partition) {
                (None, Partition::Aws) => format!("sts.{}", partition.domain()),
                (None, Partition::AwsCn | Partition::AwsUsGov) | (Some(_), _) => {
                    format!("sts.{}.{}", signing(), partition.domain())
                }
            };
            return Ok(Self { target: Target { https: true, host, port: None }, region: signing() });
        };
        let target = Target::parse(wanted)?;
        let named = || allowed.iter().any(|entry| Target::parse(entry).as_ref() == Ok(&target));
        if !target.https {
            let open = target.is_loopback() && named();
            return if open { Ok(Self { region: signing(), target }) } else { Err(Error::PlainHttp) };
        }
        // A host of AWS says itself which region it wants to see in the signature.
        match target.sts_region(partition) {
            Some(region) => Ok(Self { target, region }),
            None if named() => Ok(Self { region: signing(), target }),
            None => Err(Error::EndpointHost),
        }
    }

    /// The URL, with the path `/`.
    pub fn url(&self) -> String {
        let scheme = if self.target.https { "https" } else { "http" };
        format!("{scheme}://{}/", self.authority())
    }

    /// The value of the `Host` header: with a port where it is not the scheme's default.
    pub fn authority(&self) -> String {
        let Target { host, port, .. } = &self.target;
        port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
    }

    /// Whether requests go in clear. Only ever to loopback, and never through a proxy.
    pub const fn is_plain_http(&self) -> bool {
        !self.target.https
    }

    /// The region that requests to this endpoint are signed for.
    pub const fn signing_region(&self) -> &Region {
        &self.region
    }
}

impl Target {
    fn parse(url: &str) -> Result<Self, Error> {
        let (scheme, rest) = url.split_once("://").ok_or(Error::EndpointForm)?;
        let https = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(Error::EndpointForm),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        // An IPv6 address stands in brackets and has colons of its own.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        // `parse` takes a sign, which no URL has there.
        let port = match port.map(|port| port.parse::<u16>().ok().filter(|_| !port.starts_with('+'))) {
            Some(None | Some(0)) => return Err(Error::EndpointForm),
            Some(port) => port.filter(|port| *port != if https { 443 } else { 80 }),
            None => None,
        };
        if is_host(host) {
            Ok(Self { https, host: host.to_ascii_lowercase(), port })
        } else {
            Err(Error::EndpointForm)
        }
    }

    fn is_loopback(&self) -> bool {
        let ipv4 = |host: &str| host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback());
        self.host == "localhost" || ipv4(&self.host) || self.host == "[::1]"
    }

    /// The signing region of an STS host of `partition`; nothing for any other host.
    fn sts_region(&self, partition: Partition) -> Option<Region> {
        if self.port.is_some() {
            return None;
        }
        let service = self.host.strip_suffix(partition.domain())?.strip_suffix('.')?;
        if service == "sts" && partition == Partition::Aws {
            return Some(partition.default_region());
        }
        let region = service.strip_prefix("sts.").or_else(|| service.strip_prefix("sts-fips."))?;
        Region::parse(region, partition).ok()
    }
}

/// A DNS name, an IPv4 address, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= 253 && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Partition::{Aws, AwsCn, AwsUsGov};

    const LOCAL: &str = "http://127.0.0.1:5555";

    fn chosen(partition: Partition, wanted: &str, allowed: &[&str]) -> Result<(String, String), Error> {
        let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        let endpoint = Endpoint::choose(partition, None, Some(wanted), &allowed)?;
        Ok((endpoint.url(), endpoint.signing_region().to_string()))
    }

    #[test]
    fn each_partition_has_its_own() {
        for (partition, region, url, signing) in [
            (Aws, None, "https://sts.amazonaws.com/", "us-east-1"),
            (Aws, Some("eu-central-1"), "https://sts.eu-central-1.amazonaws.com/", "eu-central-1"),
            (Aws, Some("us-east-1"), "https://sts.us-east-1.amazonaws.com/", "us-east-1"),
            (AwsCn, None, "https://sts.cn-north-1.amazonaws.com.cn/", "cn-north-1"),
            (AwsUsGov, Some("us-gov-east-1"), "https://sts.us-gov-east-1.amazonaws.com/", "us-gov-east-1"),
        ] {
            let region = region.map(|region| Region::parse(region, partition).unwrap());
            let endpoint = Endpoint::choose(partition, region.as_ref(), None, &[]).unwrap();
            assert_eq!((endpoint.url().as_str(), endpoint.signing_region().as_str()), (url, signing));
            assert!(!endpoint.is_plain_http());
            // What is chosen by itself is also taken when it is asked for.
            assert_eq!(Endpoint::choose(partition, None, Some(url), &[]), Ok(endpoint));
        }
    }

    #[test]
    fn plain_http_needs_loopback_and_the_configuration() {
        assert_eq!(chosen(Aws, LOCAL, &[LOCAL]), Ok(("http://127.0.0.1:5555/".into(), "us-east-1".into())));
        assert_eq!(chosen(Aws, "http://127.0.0.1:5555/", &[LOCAL]).unwrap().0, "http://127.0.0.1:5555/");
        assert_eq!(chosen(Aws, "http://[::1]:80", &["http://[::1]"]).unwrap().0, "http://[::1]/");
        assert_eq!(chosen(Aws, LOCAL, &[]), Err(Error::PlainHttp));
        assert_eq!(chosen(Aws, "http://127.0.0.1:5556", &[LOCAL]), Err(Error::PlainHttp));
        assert_eq!(chosen(Aws, "http://localhost:5555", &[LOCAL]), Err(Error::PlainHttp));
        for elsewhere in ["http://192.0.2.1:5555", "http://sts.amazonaws.com", "http://127.0.0.1.example.com"]
        {
            assert_eq!(chosen(Aws, elsewhere, &[elsewhere]), Err(Error::PlainHttp));
        }
        let endpoint = Endpoint::choose(Aws, None, Some(LOCAL), &[LOCAL.to_owned()]).unwrap();
        assert!(endpoint.is_plain_http());
        assert_eq!(endpoint.authority(), "127.0.0.1:5555");
    }

    #[test]
    fn https_goes_to_sts_or_where_the_configuration_says() {
        assert_eq!(chosen(Aws, "https://STS-fips.us-west-2.amazonaws.com", &[]).unwrap().1, "us-west-2");
        for host in [
            "https://example.com",
            "https://sts.amazonaws.com.example.com",
            "https://evil-sts.amazonaws.com",
            "https://sts.us-east-1.evil.amazonaws.com",
            "https://iam.amazonaws.com",
            "https://sts.amazonaws.com:8443",
            "https://sts.cn-north-1.amazonaws.com.cn",
        ] {
            assert_eq!(chosen(Aws, host, &[]), Err(Error::EndpointHost), "{host}");
            assert_eq!(chosen(Aws, host, &[host]).unwrap().0, format!("{host}/"));
        }
        assert_eq!(chosen(AwsCn, "https://sts.amazonaws.com", &[]), Err(Error::EndpointHost));
    }

    #[test]
    fn what_is_no_plain_root_url_is_refused() {
        for url in [
            "",
            "sts.amazonaws.com",
            "ftp://sts.amazonaws.com",
            "https://",
            "https:///",
            "https://user@sts.amazonaws.com",
            "https://sts.amazonaws.com/path",
            "https://sts.amazonaws.com//",
            "https://sts.amazonaws.com?x",
            "https://sts.amazonaws.com#x",
            "https://sts.amazonaws.com:",
            "https://sts.amazonaws.com:0",
            "https://sts.amazonaws.com:+443",
            "https://sts.amazonaws.com:65536",
            "https://sts.amazonaws.com\r\nX: y",
            "https://sts amazonaws.com",
            "http://[::1",
            "http://[::1]x:80",
            "http://127.0.0.1:5555@example.com",
        ] {
            assert_eq!(chosen(Aws, url, &[url]), Err(Error::EndpointForm), "{url}");
        }
    }
}
