//! Reading JSON text that is too large to be held: container by container, value by value, in the order of the text.
//!
//! The reader itself knows only where a value ends, by its quotes and brackets; the value is then read by [`json::parse`].
//! So a value that is not JSON can be told and left out, as long as its quotes and brackets are sound, and only a text
//! whose structure is broken ends the reading.

use std::io::{self, BufRead};

use super::json::{self, JsonError, JsonFault};
use super::value::Value;

/// Why a text cannot be read any further.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// Reading failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The structure of the text is broken, or it ends too early.
    #[error(transparent)]
    Json(#[from] JsonError),
}

/// What is wrong with one value; the text behind it can still be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// It is not JSON; the place is that in the whole text.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// It is larger than the reader may hold.
    #[error("line {line}, column {column}: a value of more than {limit} bytes")]
    TooLarge {
        /// Line at which it begins, from 1.
        line: usize,
        /// Column in bytes at which it begins, from 1.
        column: usize,
        /// The most bytes a value may have.
        limit: usize,
    },
}

/// Results of a reader.
pub type Result<T> = std::result::Result<T, StreamError>;

/// Reads JSON text from a stream, holding one value at a time.
///
/// Whoever enters an object asks for [`next_key`](Self::next_key) until there is none, and after each key reads the
/// [`value`](Self::value) or enters it; the same with [`next_element`](Self::next_element) in an array.
pub struct JsonReader<R> {
    input: R,
    limit: usize,
    place: Place,
    offset: u64,
    /// The innermost container was entered and nothing of it read yet.
    fresh: bool,
    /// The text of the value that is being read.
    text: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Place {
    line: usize,
    column: usize,
}

impl<R: BufRead> JsonReader<R> {
    /// A reader at the start of a text, in which no value that is read as a whole may have more than `limit` bytes.
    pub fn new(input: R, limit: usize) -> Self {
        Self { input, limit, place: Place { line: 1, column: 1 }, offset: 0, fresh: false, text: Vec::new() }
    }

    /// How many bytes have been read.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Enters an object.
    ///
    /// # Errors
    /// Something else stands here, or reading failed.
    pub fn enter_object(&mut self) -> Result<()> {
        self.enter(b'{')
    }

    /// Enters an array.
    ///
    /// # Errors
    /// Something else stands here, or reading failed.
    pub fn enter_array(&mut self) -> Result<()> {
        self.enter(b'[')
    }

    /// The key of the next member of the object, whose value comes next; at its end leaves the object and returns none.
    ///
    /// # Errors
    /// The structure is broken, the key is not a string or longer than the limit, or reading failed.
    pub fn next_key(&mut self) -> Result<Option<String>> {
        if !self.separator(b'}')? {
            return Ok(None);
        }
        let place = self.place;
        if self.peek()? != Some(b'"') {
            return Err(self.unexpected()?);
        }
        let key = match self.value()? {
            Ok(Value::String(key)) => key,
            Ok(_) => return Err(fault(place, JsonFault::Unexpected(b'"'))),
            Err(ValueError::Json(error)) => return Err(error.into()),
            Err(ValueError::TooLarge { .. }) => {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a key is longer than a value may be").into());
            }
        };
        self.space()?;
        if self.peek()? != Some(b':') {
            return Err(self.unexpected()?);
        }
        self.consume(1)?;
        self.space()?;
        Ok(Some(key))
    }

    /// Whether the array has another element, which comes next; at its end leaves the array.
    ///
    /// # Errors
    /// The structure is broken, or reading failed.
    pub fn next_element(&mut self) -> Result<bool> {
        self.separator(b']')
    }

    /// Reads a whole value inside a container, and says what is wrong with one that cannot be read.
    ///
    /// # Errors
    /// There is no value, the text ends in it, or reading failed.
    pub fn value(&mut self) -> Result<std::result::Result<Value, ValueError>> {
        self.space()?;
        let place = self.place;
        if matches!(self.peek()?, None | Some(b',' | b':' | b'}' | b']')) {
            return Err(self.unexpected()?);
        }
        self.text.clear();
        let mut scan = Scan::default();
        let mut fits = true;
        loop {
            let chunk = fill(&mut self.input)?;
            if chunk.is_empty() {
                return Err(fault(self.place, JsonFault::End));
            }
            let (taken, ended) = scan.advance(chunk);
            fits = fits && self.text.len() + taken <= self.limit;
            if fits {
                self.text.extend_from_slice(chunk.get(..taken).unwrap_or_default());
            } else {
                self.text = Vec::new();
            }
            self.consume(taken)?;
            if ended {
                break;
            }
        }
        if !fits {
            let Place { line, column } = place;
            return Ok(Err(ValueError::TooLarge { line, column, limit: self.limit }));
        }
        Ok(json::parse(&self.text).map_err(|error| {
            let column = if error.line == 1 { place.column + error.column - 1 } else { error.column };
            JsonError { line: place.line + error.line - 1, column, ..error }.into()
        }))
    }

    /// Checks that nothing but white space is left.
    ///
    /// # Errors
    /// Something is left, or reading failed.
    pub fn end(&mut self) -> Result<()> {
        self.space()?;
        match self.peek()? {
            None => Ok(()),
            Some(_) => Err(fault(self.place, JsonFault::Trailing)),
        }
    }

    fn enter(&mut self, open: u8) -> Result<()> {
        self.space()?;
        if self.peek()? != Some(open) {
            return Err(self.unexpected()?);
        }
        self.fresh = true;
        self.consume(1)
    }

    /// Steps over what stands before the next item, or over the end of the container.
    fn separator(&mut self, close: u8) -> Result<bool> {
        self.space()?;
        let fresh = std::mem::replace(&mut self.fresh, false);
        match self.peek()? {
            Some(byte) if byte == close => {
                self.consume(1)?;
                Ok(false)
            }
            Some(_) if fresh => Ok(true),
            Some(b',') => {
                self.consume(1)?;
                self.space()?;
                Ok(true)
            }
            _ => Err(self.unexpected()?),
        }
    }

    fn space(&mut self) -> Result<()> {
        loop {
            let chunk = fill(&mut self.input)?;
            let spaces = chunk.iter().take_while(|byte| is_space(**byte)).count();
            if spaces == 0 {
                return Ok(());
            }
            self.consume(spaces)?;
        }
    }

    fn peek(&mut self) -> Result<Option<u8>> {
        Ok(fill(&mut self.input)?.first().copied())
    }

    fn unexpected(&mut self) -> Result<StreamError> {
        let reason = self.peek()?.map_or(JsonFault::End, JsonFault::Unexpected);
        Ok(fault(self.place, reason))
    }

    /// Steps over bytes that are in the buffer.
    fn consume(&mut self, count: usize) -> Result<()> {
        let bytes = fill(&mut self.input)?.get(..count).unwrap_or_default();
        match bytes.iter().rposition(|byte| *byte == b'\n') {
            None => self.place.column += count,
            Some(last) => {
                self.place.line += bytes.split(|byte| *byte == b'\n').count() - 1;
                self.place.column = count - last;
            }
        }
        self.offset += count as u64;
        self.input.consume(count);
        Ok(())
    }
}

fn fault(Place { line, column }: Place, reason: JsonFault) -> StreamError {
    StreamError::Json(JsonError { line, column, reason })
}

/// What is in the buffer, filled when it is empty; nothing at the end of the text.
fn fill<R: BufRead>(input: &mut R) -> io::Result<&[u8]> {
    loop {
        match input.fill_buf() {
            // Asked a second time, because the answer of the first borrows the input in the loop.
            Ok(_) => return input.fill_buf(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Finds the end of a value by its quotes and brackets.
#[derive(Default)]
struct Scan {
    depth: u64,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    /// How many of these bytes belong to the value, and whether it ends there.
    fn advance(&mut self, bytes: &[u8]) -> (usize, bool) {
        for (at, byte) in bytes.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => {
                        self.in_string = false;
                        if self.depth == 0 {
                            return (at + 1, true);
                        }
                    }
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                // Outside of brackets these end a number or a word, and do not belong to it.
                b',' | b':' | b'}' | b']' if self.depth == 0 => return (at, true),
                space if self.depth == 0 && is_space(*space) => return (at, true),
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return (at + 1, true);
                    }
                }
                _ => {}
            }
        }
        (bytes.len(), false)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    /// The members of an object, read through a buffer of a few bytes.
    fn members(text: &[u8], limit: usize) -> Result<Vec<(String, std::result::Result<Value, ValueError>)>> {
        let mut reader = JsonReader::new(BufReader::with_capacity(3, text), limit);
        let mut members = Vec::new();
        reader.enter_object()?;
        while let Some(key) = reader.next_key()? {
            members.push((key, reader.value()?));
        }
        reader.end()?;
        assert_eq!(reader.offset(), text.len() as u64);
        Ok(members)
    }

    fn structural(text: &[u8]) -> JsonError {
        match members(text, 1_000) {
            Err(StreamError::Json(error)) => error,
            other => panic!("{}: {other:?}", String::from_utf8_lossy(text)),
        }
    }

    #[test]
    fn members_come_in_the_order_of_the_text_and_equal_those_of_the_parser() {
        let text = br#" { "z" : {"a":[1,{"b":"}]\"\\"}],"c":[]} ,"a":-1.5e3,"s":"x,:{[", "n" :null,"":[]
            , "t":true} "#;
        let read = members(text, 1_000).unwrap();
        let keys: Vec<_> = read.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["z", "a", "s", "n", "", "t"]);
        let map = read.into_iter().map(|(key, value)| (key, value.unwrap())).collect();
        assert_eq!(json::parse(text), Ok(Value::Object(map)));
        assert_eq!(members(b"{}", 0).unwrap(), []);
    }

    #[test]
    fn a_broken_value_is_told_with_its_place_and_the_rest_is_read() {
        let text = b"{\"a\": 1,\n \"b\": {\"x\": NaN},\n \"c\": \"\xff\", \"d\": [1,\n  2 3], \"e\": 5}";
        let read = members(text, 1_000).unwrap();
        let faults: Vec<_> =
            read.iter().map(|(_, value)| value.as_ref().err().map(ToString::to_string).unwrap_or_default()).collect();
        assert_eq!(faults[0], "");
        assert!(faults[1].starts_with("line 2, column 13: not a finite number"), "{}", faults[1]);
        assert!(faults[2].starts_with("line 3, column 10: not UTF-8"), "{}", faults[2]);
        assert!(faults[3].starts_with("line 4, column 5: unexpected '3'"), "{}", faults[3]);
        assert_eq!(faults[4], "");
    }

    #[test]
    fn a_value_beyond_the_limit_is_left_out_without_being_held() {
        let text = format!("{{\"a\":1, \"big\":[\"{}\"], \"z\":2}}", "x".repeat(100));
        let read = members(text.as_bytes(), 50).unwrap();
        assert_eq!(read[1].1, Err(ValueError::TooLarge { line: 1, column: 15, limit: 50 }));
        assert_eq!(read[2].1, Ok(2_i64.into()));
    }

    #[test]
    fn broken_structure_ends_the_reading_with_its_place() {
        for (text, line, column, reason) in [
            (&b"[]"[..], 1, 1, JsonFault::Unexpected(b'[')),
            (b"", 1, 1, JsonFault::End),
            (b"{\"a\":1", 1, 7, JsonFault::End),
            (b"{\n\"a\":\"x", 2, 7, JsonFault::End),
            (b"{\"a\":{\"b\":1}", 1, 13, JsonFault::End),
            (b"{\"a\"}", 1, 5, JsonFault::Unexpected(b'}')),
            (b"{\"a\":}", 1, 6, JsonFault::Unexpected(b'}')),
            (b"{\"a\":1,}", 1, 8, JsonFault::Unexpected(b'}')),
            (b"{,}", 1, 2, JsonFault::Unexpected(b',')),
            (b"{1:2}", 1, 2, JsonFault::Unexpected(b'1')),
            (b"{\"a\":1 \"b\":2}", 1, 8, JsonFault::Unexpected(b'"')),
            (b"{\"\xff\":1}", 1, 5, JsonFault::Utf8),
            (b"{} {}", 1, 4, JsonFault::Trailing),
        ] {
            assert_eq!(structural(text), JsonError { line, column, reason }, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn arrays_are_entered_as_objects_are() {
        let mut reader = JsonReader::new(&b"{\"events\": [ 1, {\"a\":2}, [] ], \"n\": []}"[..], 100);
        reader.enter_object().unwrap();
        assert_eq!(reader.next_key().unwrap().as_deref(), Some("events"));
        reader.enter_array().unwrap();
        let mut elements = Vec::new();
        while reader.next_element().unwrap() {
            elements.push(reader.value().unwrap().unwrap());
        }
        assert_eq!(Ok(Value::Array(elements)), json::parse(b"[1,{\"a\":2},[]]"));
        assert_eq!(reader.next_key().unwrap().as_deref(), Some("n"));
        reader.enter_array().unwrap();
        assert!(!reader.next_element().unwrap());
        assert_eq!(reader.next_key().unwrap(), None);
        reader.end().unwrap();
    }
}
