//! What all listings of records share: paging, order, filters by field, history.

use clap::Args;
use mirrordna::record::{Kind, Value, object};
use mirrordna::storage::{Order, Position};
use mirrordna::vault::{Filter, Past, Record, Wanted};
use mirrordna::{Error, Vault};

use crate::context::Context;
use crate::describe;
use crate::error::Result;

/// Which part of a listing is wanted, and in which order.
#[derive(Args, Debug, Default)]
pub(crate) struct PageArgs {
    /// Stop after this many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Go on where a listing with --limit stopped; it says with which cursor
    #[arg(long, value_name = "CURSOR")]
    after: Option<Position>,
    /// The record made last comes first
    #[arg(long)]
    newest: bool,
    /// Only records with this value at a path of keys, such as metadata.custom.project=apollo (repeatable)
    #[arg(long = "where", value_name = "PATH=VALUE", value_parser = field)]
    fields: Vec<(String, Wanted)>,
}

/// Reads `PATH=VALUE`.
pub(crate) fn field(text: &str) -> std::result::Result<(String, Wanted), String> {
    match text.split_once('=') {
        Some((path, value)) if !path.is_empty() => Ok((path.to_owned(), Wanted::Written(value.to_owned()))),
        _ => Err("give PATH=VALUE, such as metadata.custom.project=apollo".to_owned()),
    }
}

/// Lists the records of a kind that fit a filter and the arguments.
pub(crate) fn list(context: &Context, vault: &Vault, kind: Kind, mut filter: Filter, page: PageArgs) -> Result<()> {
    filter.fields.extend(page.fields);
    filter.after = page.after;
    if page.newest {
        filter.order = Order::LogReversed;
    }
    // One more than is shown tells whether there is more.
    filter.limit = page.limit.map(|limit| limit.saturating_add(1));
    let limit = page.limit.unwrap_or(usize::MAX);
    let mut records = vault.list(kind, &filter)?;
    let mut listing = context.output().listing(describe::headings(kind));
    let (mut shown, mut cursor, mut more) = (0, None, false);
    let result = loop {
        match records.next() {
            Some(Ok(_)) if shown == limit => {
                more = true;
                break Ok(());
            }
            Some(Ok(record)) => listing.add(&record.value, || describe::row(kind, &record.value))?,
            Some(Err(error)) => break Err(error),
            None => break Ok(()),
        }
        shown += 1;
        cursor = records.position();
    };
    let count = listing.finish()?;
    result?;
    if let Some(cursor) = cursor.filter(|_| more) {
        context.output().flush()?;
        context.note(&format!("more follow; go on with --after {cursor}"));
    }
    say_when_empty(context, kind, count);
    Ok(())
}

/// Prints records that were found in another way than by [`list`].
pub(crate) fn show(
    context: &Context,
    kind: Kind,
    records: impl IntoIterator<Item = mirrordna::Result<Record>>,
) -> Result<()> {
    let mut listing = context.output().listing(describe::headings(kind));
    let mut result = Ok(());
    for record in records {
        match record {
            Ok(record) => listing.add(&record.value, || describe::row(kind, &record.value))?,
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    let count = listing.finish()?;
    result?;
    say_when_empty(context, kind, count);
    Ok(())
}

fn say_when_empty(context: &Context, kind: Kind, count: u64) {
    if count == 0 {
        context.note(&format!("nothing in {} fits", kind.collection()));
    }
}

/// Shows what a record was, newest first.
pub(crate) fn history(context: &Context, kind: Kind, id: &str, limit: Option<usize>) -> Result<()> {
    let vault = context.open()?;
    let mut listing = context.output().listing(["SEQUENCE", "TIME", "CHANGE", "SHA256"]);
    let mut show = || -> Result<()> {
        for past in vault.history_entries(kind, id)?.take(limit.unwrap_or(usize::MAX)) {
            let past = past?;
            listing.add(&past.to_value(), || {
                let (time, change, checksum) = match &past {
                    Past::Version(record) => (record.time, "stored", record.checksum.to_string()),
                    Past::Deleted { time, .. } => (*time, "deleted", "-".to_owned()),
                };
                let time = describe::time(&time.to_string());
                vec![past.sequence().to_string(), time, change.to_owned(), checksum]
            })?;
        }
        Ok(())
    };
    let result = show();
    listing.finish()?;
    result
}

/// Deletes a record.
pub(crate) fn delete(context: &Context, kind: Kind, id: &str) -> Result<()> {
    let committed = context.open()?.delete(kind, id)?;
    let value = object([("deleted", id.into()), ("sequence", committed.last.into())]);
    if context.output().is_text() {
        context.note(&format!("deleted {kind} {id}; its history stays"));
        return Ok(());
    }
    Ok(context.output().json(&value)?)
}

/// The object of an argument, or an error that names the argument.
pub(crate) fn object_of(what: &str, value: Value) -> Result<mirrordna::record::Map> {
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(Error::argument(what, "it must be a JSON object").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_may_hold_equal_signs_in_their_value() {
        assert_eq!(field("a.b=c=d"), Ok(("a.b".to_owned(), Wanted::Written("c=d".to_owned()))));
        assert!(field("=c").is_err() && field("a").is_err());
    }
}
