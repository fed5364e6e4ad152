//! Texts of records as programs write them.

/// The text of a memory as a program would write it.
pub(crate) fn memory_text(id: &str, content: &str) -> String {
    format!(
        r#"{{"memory_id": "{id}", "content": "{content}", "source": {{"session_id": "sess_0123456789ab",
            "timestamp": "2025-03-01T08:00:00Z", "agent_id": "mdna_agt_0123456789abcdef", "user_id": "mdna_usr_0123456789abcdef"}}}}
"#
    )
}
