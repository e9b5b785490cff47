//! One line of the probe's, and its fields as values.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::is_hostile;
use super::ParseError;

/// A value longer than this is cut: it is no name, path or version.
const LONGEST_VALUE: usize = 4096;

/// One line: a key and its fields.
pub struct Line<'a> {
    number: usize,
    /// What it is about.
    pub key: String,
    fields: Vec<&'a [u8]>,
}

impl<'a> Line<'a> {
    pub fn new(line: &'a [u8], number: usize) -> Self {
        let mut parts = line.split(|byte| *byte == b'\t');
        let key = parts.next().map(text).unwrap_or_default();
        Self { number, key, fields: parts.collect() }
    }

    pub fn raw(&self, at: usize) -> &'a [u8] {
        self.fields.get(at).copied().unwrap_or_default()
    }

    /// Whether anything stands behind the name that was asked for.
    pub fn is_answered(&self) -> bool {
        self.fields.len() > 1
    }

    pub fn text(&self, at: usize) -> String {
        text(self.raw(at))
    }

    /// This field and all after it.
    pub fn rest(&self, at: usize) -> Vec<String> {
        self.fields.iter().skip(at).map(|field| text(field)).collect()
    }

    pub fn optional(&self, at: usize) -> Option<String> {
        Some(self.text(at)).filter(|value| !value.is_empty())
    }

    /// A field that docker wrote as JSON; anything else stands for itself.
    pub fn json(&self, at: usize) -> String {
        match serde_json::from_slice::<String>(self.raw(at)) {
            Ok(value) => clean(&value),
            Err(_) => self.text(at),
        }
    }

    pub fn error(&self, at: usize, what: &'static str) -> ParseError {
        ParseError::Value { line: self.number, key: shorten(&self.key), what, value: shorten(&self.text(at)) }
    }

    /// A whole number. What is too large for us is the largest: file systems have claimed such sizes.
    pub fn size(&self, at: usize) -> Result<u64, ParseError> {
        let digits = self.text(at);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(self.error(at, "a whole number was expected"));
        }
        const LARGEST_SIZE: u64 = i64::MAX.unsigned_abs();
        Ok(digits.parse().map_or(LARGEST_SIZE, |size: u64| size.min(LARGEST_SIZE)))
    }

    pub fn time(&self, at: usize) -> Result<i64, ParseError> {
        self.text(at).parse().map_err(|_| self.error(at, "a time in seconds was expected"))
    }

    pub fn small(&self, at: usize) -> Result<u32, ParseError> {
        Ok(u32::try_from(self.size(at)?).unwrap_or(u32::MAX))
    }

    pub fn port(&self, at: usize) -> Result<u16, ParseError> {
        self.text(at).parse().map_err(|_| self.error(at, "a port was expected"))
    }

    pub fn yes(&self, at: usize) -> Result<bool, ParseError> {
        match self.raw(at) {
            b"yes" => Ok(true),
            b"no" => Ok(false),
            _ => Err(self.error(at, "`yes` or `no` was expected")),
        }
    }

    /// An address as the kernel's tables write it: words of the processor's byte order
    /// (little-endian on all that we support) in hexadecimal, `:`, the port.
    pub fn socket(&self, at: usize) -> Result<(String, u16), ParseError> {
        let error = || self.error(at, "an address of /proc/net was expected");
        let written = self.text(at);
        let (address, port) = written.split_once(':').ok_or_else(error)?;
        if !address.len().is_multiple_of(8)
            || !address.bytes().chain(port.bytes()).all(|byte| byte.is_ascii_hexdigit())
        {
            return Err(error());
        }
        let port = u16::from_str_radix(port, 16).map_err(|_| error())?;
        let mut bytes = Vec::with_capacity(16);
        for word in address.as_bytes().chunks(8) {
            let word = std::str::from_utf8(word).map_err(|_| error())?;
            let word = u32::from_str_radix(word, 16).map_err(|_| error())?;
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        if let Ok(four) = <[u8; 4]>::try_from(bytes.as_slice()) {
            Ok((Ipv4Addr::from(four).to_string(), port))
        } else if let Ok(sixteen) = <[u8; 16]>::try_from(bytes.as_slice()) {
            Ok((Ipv6Addr::from(sixteen).to_string(), port))
        } else {
            Err(error())
        }
    }
}

/// A value as it may be shown: what is no UTF-8 or no printable character becomes `�`.
pub fn text(bytes: &[u8]) -> String {
    let bytes = bytes.get(..bytes.len().min(LONGEST_VALUE)).unwrap_or_default();
    clean(&String::from_utf8_lossy(bytes))
}

pub fn clean(value: &str) -> String {
    value
        .chars()
        .map(|c| if is_hostile(c) { char::REPLACEMENT_CHARACTER } else { c })
        .take(LONGEST_VALUE)
        .collect()
}

/// An address as programs write it: without its zone, and IPv4 where it is that in IPv6.
pub fn address(written: &str) -> Option<IpAddr> {
    let written = written.split_once('%').map_or(written, |(address, _)| address);
    written.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// Enough of a line to tell what it was.
pub fn shorten(line: &str) -> String {
    match line.char_indices().nth(120) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line.to_owned(),
    }
}
