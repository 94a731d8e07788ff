//! The YKOATH application (<https://developers.yubico.com/OATH/YKOATH_Protocol.html>): TOTP and HOTP accounts,
//! behind an access key if one is set.

mod account;

use hmac::{Hmac, KeyInit as _, Mac as _};
use littlefs2::{object_safe::DynFilesystem, path};
use rand_core::{OsRng, RngCore as _};
use serde::{Deserialize, Serialize};
use sha1::Sha1;

use self::account::{Account, Algorithm};
use super::{
    Identity,
    apdu::{Answer, Command, Status},
    button::Button,
    store::Shelf,
    tlv::{element, find, first},
};

/// Its AID.
pub(super) const AID: &[u8] = &[0xA0, 0x00, 0x00, 0x05, 0x27, 0x21, 0x01];

/// Fetches the rest of a long answer, as GET RESPONSE does elsewhere.
pub(super) const SEND_REMAINING: u8 = 0xA5;

const PUT: u8 = 0x01;
const DELETE: u8 = 0x02;
const SET_CODE: u8 = 0x03;
const RESET: u8 = 0x04;
const RENAME: u8 = 0x05;
const LIST: u8 = 0xA1;
const CALCULATE: u8 = 0xA2;
const VALIDATE: u8 = 0xA3;
const CALCULATE_ALL: u8 = 0xA4;

const NAME: u16 = 0x71;
const NAME_LIST: u16 = 0x72;
const KEY: u16 = 0x73;
const CHALLENGE: u16 = 0x74;
const RESPONSE: u16 = 0x75;
const TRUNCATED: u16 = 0x76;
const NO_RESPONSE: u16 = 0x77;
const PROPERTY: u8 = 0x78;
const VERSION: u16 = 0x79;
const IMF: u16 = 0x7A;
const ALGORITHM: u16 = 0x7B;
const TOUCH: u16 = 0x7C;

const REQUIRE_TOUCH: u8 = 0x02;
/// A wrong access key, or none such account: the application's own use of this status word.
const NO_SUCH: Status = Status(0x6984);
const MAX_ACCOUNTS: usize = 32;
const MAX_NAME: usize = 64;
const CHALLENGE_LEN: usize = 8;

#[derive(Default, Serialize, Deserialize)]
struct Book {
    salt: [u8; 8],
    access_key: Option<Vec<u8>>,
    accounts: Vec<Account>,
}

/// The application.
pub(super) struct Oath<'a> {
    shelf: Shelf<'a>,
    button: Button,
    identity: Identity,
    /// What the client has to answer; made anew at each SELECT.
    challenge: [u8; CHALLENGE_LEN],
    open: bool,
}

impl<'a> Oath<'a> {
    /// On this flash.
    pub(super) fn new(fs: &'a dyn DynFilesystem, button: Button, identity: Identity) -> Self {
        let shelf = Shelf::new(fs, path!("card/oath"));
        Self { shelf, button, identity, challenge: [0; CHALLENGE_LEN], open: false }
    }

    fn book(&self) -> Result<Book, Status> {
        let mut book: Book = self.shelf.load()?;
        if book.salt == [0; 8] {
            OsRng.fill_bytes(&mut book.salt);
            self.shelf.save(&book)?;
        }
        Ok(book)
    }

    /// Answers SELECT: version, device id (the salt of the access key), and a challenge if there is a key.
    ///
    /// # Errors
    /// When the flash fails.
    pub(super) fn select(&mut self) -> Answer {
        let book = self.book()?;
        OsRng.fill_bytes(&mut self.challenge);
        self.open = book.access_key.is_none();
        let mut answer = [element(VERSION, &self.identity.version), element(NAME, &book.salt)].concat();
        if !self.open {
            answer.extend(element(CHALLENGE, &self.challenge));
            answer.extend(element(ALGORITHM, &[Algorithm::Sha1 as u8]));
        }
        Ok(answer)
    }

    /// Answers a command.
    ///
    /// # Errors
    /// The status word.
    pub(super) fn answer(&mut self, command: &Command) -> Answer {
        let mut book = self.book()?;
        let data = &command.data[..];
        match command.ins {
            VALIDATE => return self.validate(&book, data),
            RESET if (command.p1, command.p2) == (0xDE, 0xAD) => {
                self.shelf.save(&Book::default())?;
                self.open = true;
                return Ok(Vec::new());
            }
            _ if !self.open => return Err(Status::SECURITY),
            LIST => return Ok(book.accounts.iter().flat_map(Account::listed).collect()),
            CALCULATE => return self.calculate(&mut book, data, truncated(command)?),
            CALCULATE_ALL => return calculate_all(&book, data, truncated(command)?),
            PUT => put(&mut book, data)?,
            DELETE => {
                let place = book.find(data)?;
                book.accounts.remove(place);
            }
            RENAME => book.rename(data)?,
            SET_CODE => set_code(&mut book, data)?,
            _ => return Err(Status::INSTRUCTION),
        }
        self.shelf.save(&book)?;
        Ok(Vec::new())
    }

    /// Both sides show that they have the access key.
    fn validate(&mut self, book: &Book, data: &[u8]) -> Answer {
        let key = book.access_key.as_ref().ok_or(NO_SUCH)?;
        let (response, challenge) = response_and_challenge(data)?;
        if !proves(key, &self.challenge, response) {
            return Err(Status::DATA);
        }
        self.open = true;
        Ok(element(RESPONSE, &hmac_sha1(key, challenge)?))
    }

    fn calculate(&self, book: &mut Book, data: &[u8], truncated: bool) -> Answer {
        let place = book.find(data)?;
        let account = book.accounts.get_mut(place).ok_or(NO_SUCH)?;
        if account.touch {
            self.button.wait()?;
        }
        let challenge = if account.is_hotp() {
            let counter = account.next_counter()?;
            self.shelf.save(&book)?;
            counter.to_vec()
        } else {
            find(data, CHALLENGE).ok_or(Status::DATA)?.to_vec()
        };
        book.accounts.get(place).ok_or(NO_SUCH)?.code(&challenge, truncated)
    }
}

impl Book {
    /// The account whose name comes first in `data`.
    fn find(&self, data: &[u8]) -> Result<usize, Status> {
        let name = find(data, NAME).ok_or(Status::DATA)?;
        self.accounts.iter().position(|account| account.name == name).ok_or(NO_SUCH)
    }

    fn rename(&mut self, data: &[u8]) -> Result<(), Status> {
        let place = self.find(data)?;
        let rest = first(data).ok_or(Status::DATA)?.1;
        let name =
            find(rest, NAME).filter(|name| (1..=MAX_NAME).contains(&name.len())).ok_or(Status::DATA)?;
        if self.accounts.iter().any(|account| account.name == name) {
            return Err(Status::DATA);
        }
        self.accounts.get_mut(place).ok_or(NO_SUCH)?.name = name.to_vec();
        Ok(())
    }
}

fn truncated(command: &Command) -> Result<bool, Status> {
    match (command.p1, command.p2) {
        (0, 0) => Ok(false),
        (0, 1) => Ok(true),
        _ => Err(Status::PARAMETERS),
    }
}

/// An account of the same name is replaced.
fn put(book: &mut Book, data: &[u8]) -> Result<(), Status> {
    let ((tag, name), rest) = first(data).ok_or(Status::DATA)?;
    let ((key_tag, key), mut rest) = first(rest).ok_or(Status::DATA)?;
    if (tag, key_tag) != (NAME, KEY) || !(1..=MAX_NAME).contains(&name.len()) {
        return Err(Status::DATA);
    }
    let mut account = Account::new(name, key)?;
    // A property is a tag and a byte, without a length.
    if let [PROPERTY, properties, after @ ..] = rest {
        account.touch = properties & REQUIRE_TOUCH != 0;
        rest = after;
    }
    if let Some(counter) = find(rest, IMF) {
        account.counter = u32::from_be_bytes(counter.try_into().map_err(|_length| Status::DATA)?);
    }
    if let Some(old) = book.accounts.iter_mut().find(|other| other.name == name) {
        *old = account;
    } else if book.accounts.len() < MAX_ACCOUNTS {
        book.accounts.push(account);
    } else {
        return Err(Status::FULL);
    }
    Ok(())
}

/// Every code at once; those that need a touch or count up are only named.
fn calculate_all(book: &Book, data: &[u8], truncated: bool) -> Answer {
    let challenge = find(data, CHALLENGE).ok_or(Status::DATA)?;
    let mut answer = Vec::new();
    for account in &book.accounts {
        answer.extend(element(NAME, &account.name));
        answer.extend(if account.is_hotp() {
            element(NO_RESPONSE, &[account.digits])
        } else if account.touch {
            element(TOUCH, &[account.digits])
        } else {
            account.code(challenge, truncated)?
        });
    }
    Ok(answer)
}

/// Sets the access key, if the client shows that it has it; an empty one takes the key away.
fn set_code(book: &mut Book, data: &[u8]) -> Result<(), Status> {
    match find(data, KEY).ok_or(Status::DATA)? {
        [] => book.access_key = None,
        [_algorithm, key @ ..] => {
            let (response, challenge) = response_and_challenge(data)?;
            if !proves(key, challenge, response) {
                return Err(Status::DATA);
            }
            book.access_key = Some(key.to_vec());
        }
    }
    Ok(())
}

fn response_and_challenge(data: &[u8]) -> Result<(&[u8], &[u8]), Status> {
    find(data, RESPONSE).zip(find(data, CHALLENGE)).ok_or(Status::DATA)
}

fn proves(key: &[u8], challenge: &[u8], response: &[u8]) -> bool {
    hmac_sha1(key, challenge).is_ok_and(|expected| expected == response)
}

fn hmac_sha1(key: &[u8], message: &[u8]) -> Answer {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).map_err(|_length| Status::DATA)?;
    mac.update(message);
    Ok(mac.finalize().into_bytes().to_vec())
}
