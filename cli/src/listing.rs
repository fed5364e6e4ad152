//! Lists: aligned columns for people, a JSON array, or one JSON value a line; printed while they are read.

use std::io::{self, Write as _};

use mirrordna::record::Value;
use mirrordna::record::json::{self, Charset, Layout};

use crate::describe::{shortened, width};
use crate::globals::Format;
use crate::output::{Output, plain};

/// Columns are as wide as the first rows need, so that a long list begins at once.
const MEASURED: usize = 200;
/// What stands between two columns.
const GAP: &str = "  ";

/// A list that is being printed.
pub(crate) struct Listing<'a> {
    output: &'a Output,
    columns: Vec<&'static str>,
    /// Rows that wait until widths are known; then none.
    waiting: Vec<Vec<String>>,
    widths: Option<Vec<usize>>,
    count: u64,
}

impl<'a> Listing<'a> {
    pub(crate) fn new(output: &'a Output, columns: Vec<&'static str>) -> Self {
        Self { output, columns, waiting: Vec::new(), widths: None, count: 0 }
    }

    /// Adds an item: cells for people, a value for programs.
    pub(crate) fn add(&mut self, value: &Value, cells: impl FnOnce() -> Vec<String>) -> io::Result<()> {
        self.count += 1;
        match self.output.format() {
            Format::Text => self.row(&cells()),
            Format::Jsonl => self.output.json(value),
            Format::Json => self.element(value),
        }
    }

    /// Ends the list and returns how many items it has.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        match self.output.format() {
            Format::Text => self.settle()?,
            Format::Jsonl => {}
            Format::Json => self.output.line(if self.count == 0 { "[]" } else { "\n]" })?,
        }
        Ok(self.count)
    }

    fn element(&self, value: &Value) -> io::Result<()> {
        let text = json::to_vec(value, Layout::Pretty, Charset::Unicode);
        self.output.with(|out| {
            let mut before: &[u8] = if self.count == 1 { b"[\n  " } else { b",\n  " };
            // JSON text has no line breaks inside strings.
            for line in text.split(|byte| *byte == b'\n') {
                out.write_all(before)?;
                out.write_all(line)?;
                before = b"\n  ";
            }
            Ok(())
        })
    }

    fn row(&mut self, cells: &[String]) -> io::Result<()> {
        let cells: Vec<String> = cells.iter().map(|cell| plain(cell)).collect();
        if self.widths.is_some() {
            return self.print(&cells);
        }
        self.waiting.push(cells);
        if self.waiting.len() >= MEASURED { self.settle() } else { Ok(()) }
    }

    /// Measures the rows that wait, and prints them. At a terminal the columns have a heading.
    fn settle(&mut self) -> io::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() || self.widths.is_some() {
            return Ok(());
        }
        let headed = self.output.width().is_some();
        let mut widths: Vec<usize> = self.columns.iter().map(|name| if headed { width(name) } else { 0 }).collect();
        for row in &waiting {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(cell));
            }
        }
        self.widths = Some(widths);
        if headed {
            let heading = self.laid_out(self.columns.iter().copied());
            self.output.dim_line(&heading)?;
        }
        waiting.iter().try_for_each(|row| self.print(row))
    }

    fn print(&self, row: &[String]) -> io::Result<()> {
        self.output.line(&self.laid_out(row.iter().map(String::as_str)))
    }

    /// The cells side by side, cut at the edge of the terminal.
    fn laid_out<'c>(&self, cells: impl Iterator<Item = &'c str>) -> String {
        let widths = self.widths.as_deref().unwrap_or_default();
        let mut line = String::new();
        for (index, (cell, column)) in cells.zip(widths).enumerate() {
            if index > 0 {
                line.push_str(GAP);
            }
            line.push_str(cell);
            if index + 1 < widths.len() {
                line.extend(std::iter::repeat_n(' ', column.saturating_sub(width(cell))));
            }
        }
        line.truncate(line.trim_end().len());
        match self.output.width() {
            Some(edge) => shortened(&line, edge),
            None => line,
        }
    }
}
