//! What is asked of a vault, read from JSON: for surfaces whose callers speak JSON. Members that are not known are
//! refused, so that a misspelt one is not passed over.

use std::ops::Range;

use crate::record::{Map, Timestamp, Value};
use crate::storage::{Order, Position};

use super::{Error, EventQuery, Filter, MemoryUpdate, NewReflection, ReflectionType, Result, Wanted};

/// The names that mean something in a filter; every other member is the path of a field.
const ORDERS: [(&str, Order); 3] = [("log", Order::Log), ("newest", Order::LogReversed), ("time", Order::NewestTime)];

impl Filter {
    /// Reads a filter from an object. `limit`, `order` (`log`, `newest`, `time`), `archived`, `since`, `until` and `after`
    /// (a [`Position`] as text; the empty one says nothing) are what they are in [`Filter`]; any other member is the path of a
    /// field and what must stand there.
    ///
    /// # Errors
    /// [`Error::Argument`] when it is no object, or a member cannot be used.
    pub fn from_value(value: &Value) -> Result<Self> {
        let mut filter = Self::default();
        let mut range = Span::default();
        for (name, value) in object_of("the filter", value)? {
            match name.as_str() {
                "limit" => filter.limit = Some(count(name, value)?),
                "order" => filter.order = order(value)?,
                "archived" => filter.archived = Some(truth(name, value)?),
                "since" => range.since = Some(time(name, value)?),
                "until" => range.until = Some(time(name, value)?),
                "after" => filter.after = position(name, &text(name, value)?)?,
                path => filter.fields.push((path.to_owned(), wanted(name, value)?)),
            }
        }
        filter.time = range.get();
        Ok(filter)
    }
}

fn position(name: &str, text: &str) -> Result<Option<Position>> {
    let read = || text.parse().map_err(|reason| Error::argument(name, reason));
    if text.is_empty() { Ok(None) } else { read().map(Some) }
}

impl EventQuery {
    /// Reads a query from an object with any of `event_type`, `actor`, `session`, `since`, `until` and `limit`.
    ///
    /// # Errors
    /// [`Error::Argument`] when it is no object, or a member is not known or cannot be used.
    pub fn from_value(value: &Value) -> Result<Self> {
        let mut query = Self::default();
        let mut range = Span::default();
        for (name, value) in object_of("the query", value)? {
            match name.as_str() {
                "event_type" => query.event_type = Some(text(name, value)?),
                "actor" => query.actor = Some(text(name, value)?),
                "session" => query.session = Some(text(name, value)?),
                "since" => range.since = Some(time(name, value)?),
                "until" => range.until = Some(time(name, value)?),
                "limit" => query.limit = Some(count(name, value)?),
                _ => return Err(unknown(name, "event_type, actor, session, since, until, limit")),
            }
        }
        query.time = range.get();
        Ok(query)
    }
}

impl MemoryUpdate {
    /// Reads what is to change from an object with `content` or `metadata`, or both.
    ///
    /// # Errors
    /// [`Error::Argument`] when it is no object, or a member is not known.
    pub fn from_value(value: Value) -> Result<Self> {
        let mut update = Self::default();
        for (name, value) in members("the update", value)? {
            match name.as_str() {
                "content" => update.content = Some(value),
                "metadata" => update.metadata = Some(value),
                _ => return Err(unknown(&name, "content, metadata")),
            }
        }
        Ok(update)
    }
}

impl NewReflection {
    /// Reads a reflection that is to be recorded from an object with `agent_id`, `reflection_type` and `observation`,
    /// and perhaps `context`, `evaluation`, `insights`, `actions_taken` and `metadata`.
    ///
    /// # Errors
    /// [`Error::Argument`] when it is no object, or a member is missing, not known, or cannot be used.
    pub fn from_value(value: Value) -> Result<Self> {
        let (mut agent_id, mut reflection_type, mut observation) = (None, None, None);
        let (mut context, mut evaluation, mut metadata) = (Value::Object(Map::new()), None, None);
        let (mut insights, mut actions_taken) = (Vec::new(), Vec::new());
        for (name, value) in members("the reflection", value)? {
            match name.as_str() {
                "agent_id" => agent_id = Some(text(&name, &value)?),
                "reflection_type" => reflection_type = Some(kind_of_reflection(&text(&name, &value)?)?),
                "observation" => observation = Some(text(&name, &value)?),
                "context" => context = value,
                "evaluation" => evaluation = Some(text(&name, &value)?),
                "insights" => insights = texts(&name, &value)?,
                "actions_taken" => actions_taken = texts(&name, &value)?,
                "metadata" => metadata = Some(value),
                _ => {
                    let known = "agent_id, reflection_type, observation, context, evaluation, insights, \
                                 actions_taken, metadata";
                    return Err(unknown(&name, known));
                }
            }
        }
        Ok(Self {
            agent_id: agent_id.ok_or_else(|| missing("agent_id"))?,
            reflection_type: reflection_type.ok_or_else(|| missing("reflection_type"))?,
            context,
            observation: observation.ok_or_else(|| missing("observation"))?,
            evaluation,
            insights,
            actions_taken,
            metadata,
        })
    }
}

/// A range of time of which one end may be missing.
#[derive(Default)]
struct Span {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Span {
    fn get(&self) -> Option<Range<Timestamp>> {
        let (first, last) = (Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX));
        (self.since.is_some() || self.until.is_some()).then(|| self.since.unwrap_or(first)..self.until.unwrap_or(last))
    }
}

fn object_of<'a>(what: &str, value: &'a Value) -> Result<&'a Map> {
    value.as_object().ok_or_else(|| Error::argument(what, "it must be a JSON object"))
}

fn members(what: &str, value: Value) -> Result<Map> {
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(Error::argument(what, "it must be a JSON object")),
    }
}

fn unknown(name: &str, known: &str) -> Error {
    Error::argument(format!("{name:?}"), format!("it is not known here; what is: {known}"))
}

fn missing(name: &str) -> Error {
    Error::argument(name, "it is missing")
}

fn text(name: &str, value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| Error::argument(name, "it must be a text"))
}

fn texts(name: &str, value: &Value) -> Result<Vec<String>> {
    let items = value.as_array().ok_or_else(|| Error::argument(name, "it must be a list of texts"))?;
    items.iter().map(|item| text(name, item)).collect()
}

fn truth(name: &str, value: &Value) -> Result<bool> {
    value.as_bool().ok_or_else(|| Error::argument(name, "it must be true or false"))
}

fn count(name: &str, value: &Value) -> Result<usize> {
    let count = value.as_i64().and_then(|number| usize::try_from(number).ok());
    count.ok_or_else(|| Error::argument(name, "it must be a whole number from 0 on"))
}

fn time(name: &str, value: &Value) -> Result<Timestamp> {
    let time = value.as_str().and_then(Timestamp::parse);
    time.ok_or_else(|| Error::argument(name, "it must be an RFC 3339 time such as \"2025-03-01T08:00:00Z\""))
}

fn order(value: &Value) -> Result<Order> {
    let found = ORDERS.into_iter().find(|(name, _)| value.as_str() == Some(name));
    found.map(|(_, order)| order).ok_or_else(|| Error::argument("order", "it must be \"log\", \"newest\" or \"time\""))
}

fn kind_of_reflection(name: &str) -> Result<ReflectionType> {
    ReflectionType::from_name(name).ok_or_else(|| {
        let names = ReflectionType::ALL.map(ReflectionType::name).join(", ");
        Error::argument("reflection_type", format!("{name:?} is none of {names}"))
    })
}

/// What must stand in a field.
fn wanted(name: &str, value: &Value) -> Result<Wanted> {
    match value {
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => Ok(Wanted::Value(value.clone())),
        Value::Array(_) | Value::Object(_) => {
            Err(Error::argument(name, "a field is compared with a text, number, truth value or null"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::json;

    fn value(text: &str) -> Value {
        json::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_filter_has_known_members_and_paths() {
        let text = r#"{"tier":"long_term","metadata.n":3,"limit":2,"order":"time","archived":false,
            "since":"2025-03-01T08:00:00Z"}"#;
        let filter = Filter::from_value(&value(text)).unwrap();
        let fields = Filter::default().with("metadata.n", 3_i64).with("tier", "long_term").fields;
        assert_eq!((filter.fields, filter.limit), (fields, Some(2)));
        assert_eq!((filter.order, filter.archived), (Order::NewestTime, Some(false)));
        assert_eq!(filter.time.unwrap().start, Timestamp::parse("2025-03-01T08:00:00Z").unwrap());
        assert_eq!(Filter::from_value(&value("{}")).unwrap(), Filter::default());
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (text, named) in [
            ("[]", "the filter"),
            (r#"{"limit":-1}"#, "limit"),
            (r#"{"limit":"3"}"#, "limit"),
            (r#"{"order":"best"}"#, "order"),
            (r#"{"archived":1}"#, "archived"),
            (r#"{"since":"yesterday"}"#, "since"),
            (r#"{"tier":["a"]}"#, "tier"),
        ] {
            let error = Filter::from_value(&value(text)).unwrap_err().to_string();
            assert!(error.starts_with(named), "{text}: {error}");
        }
        assert!(EventQuery::from_value(&value(r#"{"type":"x"}"#)).unwrap_err().to_string().contains("event_type"));
        assert!(MemoryUpdate::from_value(value(r#"{"tier":"x"}"#)).unwrap_err().to_string().contains("metadata"));
        assert!(NewReflection::from_value(value(r#"{"agent_id":"x"}"#)).unwrap_err().to_string().contains("missing"));
    }
}
