//! Log messages for a program that has a log of its own.

use std::fmt;
use std::sync::{Mutex, PoisonError, RwLock};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::record::{Map, Value};

use super::{ObserveError, filter};

/// How grave a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something is not as it should be.
    Warn,
    /// Something was done.
    Info,
    /// For those who look for a fault.
    Debug,
    /// Everything.
    Trace,
}

/// A log message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// How grave it is.
    pub level: Level,
    /// The component, such as `mirrordna::audit`.
    pub target: &'a str,
    /// What happened; empty when the fields say all.
    pub text: &'a str,
    /// What it is about: an object.
    pub fields: &'a Value,
}

/// Is told of messages, on whatever thread they are made.
pub type Listener = Box<dyn Fn(&Message<'_>) + Send + Sync>;

/// Changes the levels of the subscriber, once there is one.
static LEVELS: Mutex<Option<reload::Handle<EnvFilter, Registry>>> = Mutex::new(None);
/// Who is told. Held for reading while it is told, so that whoever replaces it waits for that.
static LISTENER: RwLock<Option<Listener>> = RwLock::new(None);

/// Tells `listener` of the events of this process, at the levels that [`super::LogOptions::level`] describes; a later
/// call replaces both. When it returns, the former listener is not running. A listener must not call this function.
///
/// # Errors
/// [`ObserveError::Level`], and [`ObserveError::AlreadySet`] when logs were set up in another way. Then nothing is changed.
pub fn listen(level: &str, listener: Option<Listener>) -> Result<(), ObserveError> {
    let filter = filter(level)?;
    let mut levels = LEVELS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*levels {
        handle.reload(filter).map_err(|_| ObserveError::AlreadySet)?;
    } else {
        let (layer, handle) = reload::Layer::new(filter);
        let subscriber = tracing_subscriber::registry().with(layer).with(Telling);
        tracing::subscriber::set_global_default(subscriber).map_err(|_| ObserveError::AlreadySet)?;
        *levels = Some(handle);
    }
    *LISTENER.write().unwrap_or_else(PoisonError::into_inner) = listener;
    Ok(())
}

struct Telling;

impl<S: Subscriber> Layer<S> for Telling {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let listener = LISTENER.read().unwrap_or_else(PoisonError::into_inner);
        let Some(listener) = &*listener else { return };
        let mut parts = Parts::default();
        event.record(&mut parts);
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            tracing::Level::DEBUG => Level::Debug,
            tracing::Level::TRACE => Level::Trace,
        };
        let fields = Value::Object(parts.fields);
        listener(&Message { level, target: event.metadata().target(), text: &parts.text, fields: &fields });
    }
}

/// What an event says.
#[derive(Default)]
struct Parts {
    text: String,
    fields: Map,
}

impl Parts {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" { self.text = text } else { self.set(field, text) }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" { value.clone_into(&mut self.text) } else { self.set(field, value) }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn messages_come_with_their_fields_at_the_levels_that_are_asked_for() {
        // One subscriber a process: a test before this one may have set another up, and then there is nothing to be
        // heard.
        let heard: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let listener = {
            let heard = Arc::clone(&heard);
            Box::new(move |message: &Message<'_>| {
                if message.target == "listen::test" {
                    let fields = String::from_utf8(crate::record::checksum::canonical(message.fields)).unwrap();
                    heard.lock().unwrap().push((format!("{:?} {}", message.level, message.text), fields));
                }
            })
        };
        listen("warn", Some(listener)).unwrap();
        tracing::info!(target: "listen::test", "not heard");
        tracing::warn!(target: "listen::test", n = 3, name = "x", yes = true, "heard {}", 1);
        listen("warn", None).unwrap();
        tracing::error!(target: "listen::test", "nobody listens");
        assert_eq!(
            *heard.lock().unwrap(),
            [("Warn heard 1".to_owned(), r#"{"n":3,"name":"x","yes":true}"#.to_owned())]
        );
        assert!(matches!(listen("loud", None), Err(ObserveError::Level { .. })));
    }
}
