//! The separate worlds of AWS and their regions.

use super::Error;
use std::fmt;
use std::str::FromStr;

/// A separate world of AWS, with accounts and endpoints of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Partition {
    /// The public one.
    #[default]
    Aws,
    /// China.
    AwsCn,
    /// `GovCloud` (US).
    AwsUsGov,
}

impl Partition {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Aws, Self::AwsCn, Self::AwsUsGov];

    /// The name, which is also the second part of an ARN.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::AwsCn => "aws-cn",
            Self::AwsUsGov => "aws-us-gov",
        }
    }

    /// The domain that its endpoints lie under.
    pub const fn domain(self) -> &'static str {
        match self {
            Self::Aws | Self::AwsUsGov => "amazonaws.com",
            Self::AwsCn => "amazonaws.com.cn",
        }
    }

    /// The region that STS requests are signed for when nobody named one.
    pub fn default_region(self) -> Region {
        Region(
            match self {
                Self::Aws => "us-east-1",
                Self::AwsCn => "cn-north-1",
                Self::AwsUsGov => "us-gov-west-1",
            }
            .to_owned(),
        )
    }

    /// Region names begin alike within a partition, except for the public one, which has all the others.
    fn has(self, region: &str) -> bool {
        const ELSEWHERE: [&str; 4] = ["us-iso", "eu-iso", "eusc-", "aws-"];
        match self {
            Self::Aws => {
                !Self::AwsCn.has(region)
                    && !Self::AwsUsGov.has(region)
                    && !ELSEWHERE.iter().any(|prefix| region.starts_with(prefix))
            }
            Self::AwsCn => region.starts_with("cn-"),
            Self::AwsUsGov => region.starts_with("us-gov-"),
        }
    }
}

impl FromStr for Partition {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|partition| partition.name() == name).ok_or(Error::Partition)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A region's name, such as `eu-central-1`: it becomes part of a host name and of a signature.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Region(String);

impl Region {
    /// Checks a name.
    ///
    /// # Errors
    /// [`Error::Region`] for what has not the form of a region or belongs to another partition.
    pub fn parse(name: &str, partition: Partition) -> Result<Self, Error> {
        // Words of lower-case letters, and a number last.
        let parts: Vec<&str> = name.split('-').collect();
        let formed = match parts.split_last() {
            Some((number, words)) => {
                let word = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
                let digits = (1..=2).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
                digits && words.len() >= 2 && words.iter().all(word) && name.len() <= 32
            }
            None => false,
        };
        if formed && partition.has(name) {
            Ok(Self(name.to_owned()))
        } else {
            Err(Error::Region(partition.name()))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_named() {
        for partition in Partition::ALL {
            assert_eq!(partition.name().parse(), Ok(partition));
            let region = partition.default_region();
            assert_eq!(Region::parse(region.as_str(), partition), Ok(region));
        }
        assert_eq!("AWS".parse::<Partition>(), Err(Error::Partition));
    }

    #[test]
    fn a_region_cannot_smuggle() {
        for name in ["eu-central-1", "us-east-1", "ap-southeast-5", "mx-central-1"] {
            assert_eq!(Region::parse(name, Partition::Aws).unwrap().as_str(), name);
        }
        for name in [
            "",
            "-",
            "eu",
            "eu-central",
            "EU-CENTRAL-1",
            "eu--1",
            "eu-central-1.evil.example",
            "a/b-c-1",
            "a@b-c-1",
            "eu-central-1\r\n",
            "eu-central-100",
            "cn-north-1",
            "us-gov-west-1",
            "us-iso-east-1",
            "eusc-de-east-1",
        ] {
            assert_eq!(Region::parse(name, Partition::Aws), Err(Error::Region("aws")), "{name}");
        }
        assert!(Region::parse("cn-northwest-1", Partition::AwsCn).is_ok());
        assert!(Region::parse("us-gov-east-1", Partition::AwsUsGov).is_ok());
        assert!(Region::parse("us-east-1", Partition::AwsCn).is_err());
    }
}
