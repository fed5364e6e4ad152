//! Sessions: start, end, lineage and context.

use mirrordna::Error;
use mirrordna::record::Kind;
use mirrordna::storage::{NOW, StorageError};

use crate::support::{AGENT, Fixture, USER, new_session, parse};

#[test]
fn a_session_starts_and_ends_exactly_so() {
    let fixture = Fixture::new();
    let started = fixture.session(None);
    assert!(started.id.starts_with("sess_20250601_1200"), "{}", started.id);
    let second = fixture.session(Some(&started));
    assert_ne!(started.id, second.id);
    assert_eq!(
        second.value,
        parse(&format!(
            r#"{{"session_id":"{}","parent_session_id":"{}","agent_id":"{AGENT}","user_id":"{USER}",
            "started_at":"{}","ended_at":null}}"#,
            second.id,
            started.id,
            second.value.str_at("started_at").unwrap(),
        ))
    );
    // The same seed and clock make the same session in another vault.
    assert_eq!(Fixture::new().session(None).value, started.value);

    let ended = fixture.vault.sessions().end(&started.id, None).unwrap();
    assert!(ended.value.str_at("ended_at").unwrap() > started.value.str_at("started_at").unwrap());
    assert_eq!(ended.value.get("context_metadata"), None);
    assert_eq!(fixture.vault.history(Kind::Session, &started.id, NOW, 10).unwrap().len(), 2);
}

#[test]
fn a_final_state_is_merged_with_what_is_there() {
    let fixture = Fixture::new();
    let mut new = new_session(None);
    new.context = Some(parse(r#"{"topic":"t","final_state":{"kept":1,"replaced":1}}"#));
    let session = fixture.vault.sessions().start(new).unwrap();
    let state = parse(r#"{"replaced":2,"added":{"x":[]}}"#);
    let ended = fixture.vault.sessions().end(&session.id, Some(state)).unwrap();
    let context = parse(r#"{"topic":"t","final_state":{"kept":1,"replaced":2,"added":{"x":[]}}}"#);
    assert_eq!(ended.value.get("context_metadata"), Some(&context));
}

#[test]
fn what_cannot_be_ended_or_started_says_why_and_changes_nothing() {
    let fixture = Fixture::new();
    let sessions = fixture.vault.sessions();
    let session = fixture.session(None);
    sessions.end(&session.id, None).unwrap();
    let before = fixture.vault.state();
    let twice = sessions.end(&session.id, None).unwrap_err();
    assert!(matches!(twice, Error::State { .. }) && twice.to_string().contains("it ended at 2025-06-01T12"), "{twice}");
    let unknown = sessions.end("sess_000000000009", None).unwrap_err();
    assert!(matches!(unknown, Error::Storage(StorageError::NotFound { .. })));
    assert!(matches!(sessions.end(&session.id, Some("text".into())).unwrap_err(), Error::Argument { .. }));
    let orphan = sessions.start(new_session(Some("sess_000000000009"))).unwrap_err();
    assert!(matches!(&orphan, Error::UnknownParent { parent, .. } if parent == "sess_000000000009"), "{orphan}");
    let mut broken = new_session(None);
    broken.agent_id = "me".to_owned();
    assert!(matches!(sessions.start(broken).unwrap_err(), Error::Record(_)));
    assert!(matches!(sessions.lineage("../x").unwrap_err(), Error::Storage(StorageError::NotFound { .. })));
    assert_eq!(fixture.vault.state(), before);
}

#[test]
fn no_session_goes_back_to_itself() {
    let fixture = Fixture::new();
    let first = fixture.session(None);
    let second = fixture.session(Some(&first));
    let third = fixture.session(Some(&second));
    for (session, parent) in [(&first, &first), (&first, &second), (&first, &third)] {
        let mut value = session.value.clone();
        value.as_object_mut().unwrap().insert("parent_session_id".into(), parent.id.as_str().into());
        let error = fixture.vault.put(Kind::Session, value).unwrap_err();
        assert!(matches!(&error, Error::Cycle { reference, .. } if *reference == parent.id), "{error}");
    }
    assert_eq!(fixture.vault.sessions().lineage(&third.id).unwrap().sessions.len(), 3);
}

#[test]
fn lineage_runs_from_the_oldest_and_begins_where_a_parent_is_missing() {
    let fixture = Fixture::new();
    let first = fixture.session(None);
    let second = fixture.session(Some(&first));
    let third = fixture.session(Some(&second));
    fixture.session(Some(&second));
    let lineage = |id: &str| {
        let lineage = fixture.vault.sessions().lineage(id).unwrap();
        (lineage.sessions.into_iter().map(|session| session.id).collect::<Vec<_>>(), lineage.missing_parent)
    };
    assert_eq!(lineage(&third.id), (vec![first.id.clone(), second.id.clone(), third.id.clone()], None));
    fixture.vault.delete(Kind::Session, &first.id).unwrap();
    assert_eq!(lineage(&third.id), (vec![second.id.clone(), third.id.clone()], Some(first.id)));
}

#[test]
fn context_gathers_what_the_lineage_knows() {
    let fixture = Fixture::new();
    let mut new = new_session(None);
    new.context = Some(parse(r#"{"topic":"a"}"#));
    let first = fixture.vault.sessions().start(new).unwrap();
    let ended = fixture.vault.sessions().end(&first.id, None).unwrap();
    let second = fixture.session(Some(&first));
    let time = |value: &mirrordna::record::Value, field: &str| value.str_at(field).unwrap().to_owned();
    assert_eq!(
        fixture.vault.sessions().context(&second.id).unwrap(),
        parse(&format!(
            r#"{{"session_count":2,"sessions":[
                {{"session_id":"{}","started_at":"{}","ended_at":"{}","metadata":{{"topic":"a"}}}},
                {{"session_id":"{}","started_at":"{}","ended_at":null,"metadata":{{}}}}]}}"#,
            first.id,
            time(&first.value, "started_at"),
            time(&ended.value, "ended_at"),
            second.id,
            time(&second.value, "started_at"),
        ))
    );
}
