//! Encrypted telegrams: security modes 5 and 7 (EN 13757-7 clause 7.6, OMS volume 2). RustCrypto does
//! the ciphers; nothing else in this room knows them.
//!
//! What is encrypted is never read as records. A wrong key is noticed by the 2F 2F that every
//! plain text begins with, and by the authentication code where there is one.
//!
//! # Plain text under mode 5
//! Some receivers of radio meters decrypt a telegram and leave its configuration field as it was. Such
//! a telegram is read as it is, but only where the key does not open it. It is read of a meter
//! with a key too: mode 5 authenticates nothing, and a sender who may announce mode 0 needs no such
//! trick. A key opens; it does not prove who sent. Mode 7, which can prove it, makes no exception.

use core::fmt;

use aes::Aes128;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit, block_padding::NoPadding};
use cmac::{Cmac, Mac};

use crate::mbus::address::SecondaryAddress;
use crate::mbus::application::afl::Afl;
use crate::mbus::application::header::{Configuration, Header, ShortHeader};
use crate::mbus::octets::from_hex;

/// Bytes of a key and of a block.
const BLOCK: usize = 16;
/// What every plain text begins with (two idle fillers).
const PLAIN_START: [u8; 2] = [0x2F, 0x2F];

/// An AES-128 key; never printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; BLOCK]);

impl Key {
    /// From its bytes.
    #[must_use]
    pub const fn new(bytes: [u8; BLOCK]) -> Self {
        Self(bytes)
    }

    /// From 32 hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        from_hex(text)?.try_into().ok().map(Self)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// The data behind a header that announces encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encrypted<'a> {
    header: ShortHeader,
    bytes: &'a [u8],
}

/// Why a telegram was not decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityError {
    /// It is encrypted and no key was given.
    NoKey {
        /// The security mode.
        mode: u8,
    },
    /// What comes out does not begin with 2F 2F.
    WrongKey,
    /// The authentication code is not that of the message.
    WrongAuthentication,
    /// A mode other than 5 and 7.
    UnsupportedMode {
        /// The security mode.
        mode: u8,
    },
    /// A key derivation other than "none" and KDF-A.
    UnsupportedKeyDerivation {
        /// Bits 5 and 4 of the configuration field's extension.
        code: u8,
    },
    /// A short header, and the meter's secondary address, which the cipher needs, is not known.
    NoIdentity,
    /// Mode 7 without a message counter.
    NoCounter,
    /// Fewer bytes than the configuration field announces.
    Cut {
        /// Bytes there are.
        got: usize,
        /// Bytes announced.
        want: usize,
    },
}

impl fmt::Display for SecurityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoKey { mode } => write!(f, "encrypted in security mode {mode}: the meter's key is needed"),
            Self::WrongKey => f.write_str("wrong key: the decrypted data does not begin with 2F 2F"),
            Self::WrongAuthentication => f.write_str("wrong key or forged telegram: the authentication code differs"),
            Self::UnsupportedMode { mode } => write!(f, "encrypted in security mode {mode}, expected 5 or 7"),
            Self::UnsupportedKeyDerivation { code } => write!(f, "key derivation {code} is not supported"),
            Self::NoIdentity => f.write_str("encrypted with a short header: the meter's secondary address is needed"),
            Self::NoCounter => f.write_str("security mode 7 without a message counter"),
            Self::Cut { got, want } => write!(f, "encrypted data is cut: {got} bytes, expected {want}"),
        }
    }
}

impl core::error::Error for SecurityError {}

impl<'a> Encrypted<'a> {
    /// `None` where nothing is encrypted.
    pub(crate) fn of(header: &Header, bytes: &'a [u8]) -> Option<Self> {
        let header = header.short?;
        let low = header.configuration.0.to_le_bytes()[0];
        let encrypted = match header.configuration.mode() {
            4 | 5 | 7 => header.configuration.blocks() != 0,
            // the low byte counts the encrypted bytes
            1..=3 | 13 => low != 0,
            8..=10 | 15 => true,
            // 0 is none; the rest are not modes but the "signature" of old meters (FFFF is met)
            _ => false,
        };
        encrypted.then_some(Self { header, bytes })
    }

    /// The configuration field: the mode and how much is encrypted.
    #[must_use]
    pub const fn configuration(&self) -> Configuration {
        self.header.configuration
    }

    /// As on the wire, with the extension of the configuration field.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The data where they look as if mode 5 were announced only. One in 65536 encrypted telegrams
    /// begins like this by chance: look at the records too.
    pub(crate) fn sent_plain(&self) -> Option<&'a [u8]> {
        self.bytes.strip_prefix(&PLAIN_START).filter(|_| self.configuration().mode() == 5)
    }
}

/// What stands between the header and the data in mode 7.
struct Extension<'a> {
    counter: Option<[u8; 4]>,
    derivation: u8,
    behind: &'a [u8],
}

impl<'a> Extension<'a> {
    fn take(configuration: Configuration, bytes: &'a [u8]) -> Option<Self> {
        let (&own, mut behind) = bytes.split_first()?;
        let mut counter = None;
        if configuration.0 & 0x2000 != 0 {
            let (first, rest) = behind.split_first_chunk::<4>()?;
            (counter, behind) = (Some(*first), rest);
        }
        if own & 0x40 != 0 {
            behind = behind.split_first()?.1;
        }
        Some(Self { counter, derivation: (own >> 4) & 3, behind })
    }
}

/// The data of a telegram that is not encrypted: mode 7 has its extension without any block, too.
pub(crate) fn plain_data<'a>(header: &Header, bytes: &'a [u8]) -> &'a [u8] {
    match header.short.map(|short| short.configuration) {
        Some(configuration) if configuration.mode() == 7 => {
            Extension::take(configuration, bytes).map_or(bytes, |extension| extension.behind)
        }
        _ => bytes,
    }
}

/// Decrypts the data of a telegram into `buffer`. `identity` is the meter's secondary address: of the
/// header, where that is long, else from its last long header or from the selection.
///
/// # Errors
/// [`SecurityError`]; nothing of the telegram's data may be used then.
pub fn decrypt<'b>(
    encrypted: &Encrypted<'_>,
    afl: Option<&Afl<'_>>,
    identity: Option<SecondaryAddress>,
    key: Option<&Key>,
    buffer: &'b mut Vec<u8>,
) -> Result<&'b [u8], SecurityError> {
    let mode = encrypted.configuration().mode();
    let key = key.ok_or(SecurityError::NoKey { mode })?;
    buffer.clear();
    match mode {
        5 => {
            let identity = identity.ok_or(SecurityError::NoIdentity)?;
            buffer.extend_from_slice(encrypted.bytes);
            let iv = mode_5_iv(identity, encrypted.header.access_number);
            decrypt_blocks(key, &iv, encrypted.configuration(), buffer)?;
        }
        7 => mode_7(encrypted, afl, identity, key, buffer)?,
        _ => return Err(SecurityError::UnsupportedMode { mode }),
    }
    buffer.strip_prefix(&PLAIN_START).ok_or(SecurityError::WrongKey)
}

/// Manufacturer, identification, version, medium as on the wire, then eight times the access number.
fn mode_5_iv(identity: SecondaryAddress, access_number: u8) -> [u8; BLOCK] {
    let [a, b, c, d, m, n, version, medium] = identity.to_wire();
    let mut iv = [access_number; BLOCK];
    iv.iter_mut().zip([m, n, a, b, c, d, version, medium]).for_each(|(to, from)| *to = from);
    iv
}

/// The extension of the configuration field, then the blocks; the key is derived from the
/// meter's own.
fn mode_7(
    encrypted: &Encrypted<'_>,
    afl: Option<&Afl<'_>>,
    identity: Option<SecondaryAddress>,
    key: &Key,
    buffer: &mut Vec<u8>,
) -> Result<(), SecurityError> {
    let configuration = encrypted.configuration();
    let got = encrypted.bytes.len();
    let extension = Extension::take(configuration, encrypted.bytes).ok_or(SecurityError::Cut { got, want: got + 1 })?;
    let counter = extension.counter.or(afl.and_then(Afl::counter));
    let derived = match extension.derivation {
        0 => None,
        1 => Some((counter.ok_or(SecurityError::NoCounter)?, identity.ok_or(SecurityError::NoIdentity)?)),
        code => return Err(SecurityError::UnsupportedKeyDerivation { code }),
    };
    let session = |purpose| derived.map_or(*key, |(counter, identity)| derive(key, purpose, counter, identity));
    if let Some(afl) = afl.filter(|afl| !afl.mac.is_empty()) {
        let want = authenticate(&session(Purpose::MacFromMeter), &afl.authenticated());
        if !want.starts_with(afl.mac) {
            return Err(SecurityError::WrongAuthentication);
        }
    }
    buffer.extend_from_slice(extension.behind);
    decrypt_blocks(&session(Purpose::EncryptionFromMeter), &[0; BLOCK], configuration, buffer)
}

fn decrypt_blocks(
    key: &Key,
    iv: &[u8; BLOCK],
    configuration: Configuration,
    buffer: &mut [u8],
) -> Result<(), SecurityError> {
    let (got, want) = (buffer.len(), BLOCK * usize::from(configuration.blocks()));
    let cut = SecurityError::Cut { got, want };
    let blocks = buffer.get_mut(..want).ok_or(cut)?;
    let cipher = cbc::Decryptor::<Aes128>::new(&key.0.into(), &(*iv).into());
    cipher.decrypt_padded_mut::<NoPadding>(blocks).map_err(|_| cut)?;
    Ok(())
}

/// Encrypts records in mode 5 as a meter does, for the simulator and for tests: appends the whole
/// data of a telegram with CI 72, header included, to `out`. The plain text is begun with 2F 2F
/// and filled up with 2F; the configuration field of `header` is replaced.
///
/// # Errors
/// [`SecurityError::NoIdentity`] for a header that is not long, [`SecurityError::Cut`] where the
/// records need more than 15 blocks.
pub fn encrypt_mode_5(header: &Header, records: &[u8], key: &Key, out: &mut Vec<u8>) -> Result<(), SecurityError> {
    let (Some(identity), Some(short)) = (header.identity, header.short) else {
        return Err(SecurityError::NoIdentity);
    };
    let mut plain = PLAIN_START.to_vec();
    plain.extend_from_slice(records);
    plain.resize(plain.len().next_multiple_of(BLOCK), 0x2F);
    let blocks = plain.len() / BLOCK;
    let cut = SecurityError::Cut { got: 15 * BLOCK, want: plain.len() };
    let count = u16::try_from(blocks).ok().filter(|n| *n <= 15).ok_or(cut)?;
    let short = ShortHeader { configuration: Configuration(0x0500 | count << 4), ..short };
    Header { identity: Some(identity), short: Some(short) }.encode(out);
    let iv = mode_5_iv(identity, short.access_number);
    let length = plain.len();
    let cipher = cbc::Encryptor::<Aes128>::new(&key.0.into(), &iv.into());
    out.extend_from_slice(cipher.encrypt_padded_mut::<NoPadding>(&mut plain, length).map_err(|_| cut)?);
    Ok(())
}

/// What a derived key is for.
#[derive(Clone, Copy)]
enum Purpose {
    EncryptionFromMeter = 0x00,
    MacFromMeter = 0x01,
}

/// KDF-A: the CMAC of purpose, counter and identification, filled up with 07.
fn derive(key: &Key, purpose: Purpose, counter: [u8; 4], identity: SecondaryAddress) -> Key {
    let [a, b, c, d, ..] = identity.to_wire();
    let mut input = [0x07; BLOCK];
    let head = [purpose as u8].into_iter().chain(counter).chain([a, b, c, d]);
    input.iter_mut().zip(head).for_each(|(to, from)| *to = from);
    Key(authenticate(key, &[&input]))
}

fn authenticate(key: &Key, parts: &[&[u8]]) -> [u8; BLOCK] {
    let mut mac = <Cmac<Aes128> as cmac::digest::KeyInit>::new(&key.0.into());
    parts.iter().for_each(|part| Mac::update(&mut mac, part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests;
