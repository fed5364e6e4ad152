//! Results on stdout: text for people, or JSON.

use std::cell::RefCell;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use mirrordna::record::Value;
use mirrordna::record::json::{self, Charset, Layout};
use mirrordna::vault::Record;

use crate::describe;
use crate::globals::Format;
use crate::listing::Listing;

/// Where results go, and how they look.
pub(crate) struct Output {
    format: Format,
    color: bool,
    /// The width of the terminal, when it is one.
    width: Option<usize>,
    out: RefCell<BufWriter<Stdout>>,
}

impl Output {
    pub(crate) fn new(format: Format, color: bool) -> Self {
        let stdout = io::stdout();
        let width = stdout.is_terminal().then(|| {
            let size = rustix::termios::tcgetwinsize(&stdout).ok();
            size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(80)
        });
        Self { format, color, width, out: RefCell::new(BufWriter::with_capacity(64 << 10, stdout)) }
    }

    /// The same, with JSON or text whatever the global options say.
    pub(crate) fn in_format(&self, json: Option<bool>) -> Self {
        let format = match json {
            Some(true) if self.is_text() => Format::Json,
            None | Some(true) => self.format,
            Some(false) => Format::Text,
        };
        Self::new(format, self.color)
    }

    /// The form of results.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// People read this, not a program.
    pub(crate) fn is_text(&self) -> bool {
        self.format == Format::Text
    }

    /// The width of the terminal, when stdout is one.
    pub(crate) fn width(&self) -> Option<usize> {
        self.width
    }

    /// Everything that was printed is on its way.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.out.borrow_mut().flush()
    }

    /// Lets something write to stdout.
    pub(crate) fn with<T>(&self, write: impl FnOnce(&mut BufWriter<Stdout>) -> io::Result<T>) -> io::Result<T> {
        write(&mut self.out.borrow_mut())
    }

    /// A line of text as it is.
    pub(crate) fn line(&self, text: &str) -> io::Result<()> {
        self.with(|out| writeln!(out, "{text}"))
    }

    /// A line of text that is a heading, or beside the point.
    pub(crate) fn dim_line(&self, text: &str) -> io::Result<()> {
        if self.color { self.line(&format!("\x1b[2m{text}\x1b[0m")) } else { self.line(text) }
    }

    /// A word in a colour of the terminal, by its SGR number.
    pub(crate) fn colored(&self, sgr: u8, text: &str) -> String {
        if self.color { format!("\x1b[{sgr}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A JSON value, laid out for the format.
    pub(crate) fn json(&self, value: &Value) -> io::Result<()> {
        let layout = if self.format == Format::Jsonl { Layout::Compact } else { Layout::Pretty };
        self.with(|out| {
            json::write(out, value, layout, Charset::Unicode)?;
            out.write_all(b"\n")
        })
    }

    /// A text for people, or a value for programs.
    pub(crate) fn result(&self, text: &str, value: &Value) -> io::Result<()> {
        if self.is_text() { self.line(text) } else { self.json(value) }
    }

    /// A record that was made: its id for people, all of it for programs.
    pub(crate) fn made(&self, record: &Record) -> io::Result<()> {
        self.result(&record.id, &record.value)
    }

    /// A record to be looked at.
    pub(crate) fn record(&self, record: &Record) -> io::Result<()> {
        if !self.is_text() {
            return self.json(&record.value);
        }
        self.pairs(&describe::pairs(&record.value))?;
        let mark = if record.lenient { "; it breaks its schema and was imported with --lenient" } else { "" };
        let (sequence, time) = (record.sequence, describe::time(&record.time.to_string()));
        self.dim_line(&format!("\nsha256 {}\nsequence {sequence}, {time}{mark}", record.checksum))
    }

    /// A value that is no record: names and values for people.
    pub(crate) fn value(&self, value: &Value) -> io::Result<()> {
        if self.is_text() { self.pairs(&describe::pairs(value)) } else { self.json(value) }
    }

    /// Names and values, one pair a line, aligned.
    pub(crate) fn pairs<N: AsRef<str>>(&self, pairs: &[(N, String)]) -> io::Result<()> {
        let widest = pairs.iter().map(|(name, _)| describe::width(name.as_ref())).max().unwrap_or(0);
        for (name, value) in pairs {
            let name = name.as_ref();
            let gap = " ".repeat(widest - describe::width(name));
            let shown = self.colored(36, &plain(name));
            self.line(format!("{shown}{gap}  {}", plain(value)).trim_end())?;
        }
        Ok(())
    }

    /// A list, printed while it is read.
    pub(crate) fn listing(&self, columns: impl Into<Vec<&'static str>>) -> Listing<'_> {
        Listing::new(self, columns.into())
    }
}

/// Text without control characters, which could make a terminal show what is not there.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => plain.push_str("\\n"),
            '\t' => plain.push_str("\\t"),
            '\r' => plain.push_str("\\r"),
            c if c.is_control() => plain.extend(c.escape_default()),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn control_characters_cannot_reach_a_terminal() {
        assert_eq!(plain("a\nb\t\x1b[31m\u{9b}é日"), "a\\nb\\t\\u{1b}[31m\\u{9b}é日");
    }
}
