//! The records that every peer stores: memories of about 600 bytes of JSON, with six indexed fields. Shared by the two
//! programs of the comparison, and so free of dependencies.

/// One memory in the parts that peers index.
pub(crate) struct Memory {
    pub(crate) id: String,
    pub(crate) tier: &'static str,
    pub(crate) session: String,
    pub(crate) agent: &'static str,
    pub(crate) user: &'static str,
    pub(crate) tag: String,
    pub(crate) time: String,
    /// The whole record in canonical form.
    pub(crate) json: String,
}

impl Memory {
    /// The n-th memory, always the same. They are a millisecond apart.
    pub(crate) fn new(n: u64) -> Self {
        let seconds = n / 1000;
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        let time = format!("2025-03-01T{hour:02}:{minute:02}:{second:02}.{:03}000Z", n % 1000);
        let (agent, user) = ("mdna_agt_390c8c7d7247342c", "mdna_usr_d8100f2f6f770d65");
        let id = format!("mem_20250301_{hour:02}{minute:02}{second:02}_{n:08x}");
        let tier = ["short_term", "long_term", "episodic"][(n % 3) as usize];
        let session = format!("sess_20250301_080000_{:08x}", n / 500);
        let tag = format!("topic-{}", n % 100);
        let content = format!(
            "Memory number {n}: the user takes their espresso short, with a glass of water, and reads the ledger in the \
             morning before work begins; on day {} they asked for a summary of what had changed since, and were glad of it.",
            n % 365
        );
        let json = format!(
            r#"{{"content":"{content}","memory_id":"{id}","metadata":{{"access_count":0,"tags":["{tag}"]}},"source":{{"agent_id":"{agent}","session_id":"{session}","timestamp":"{time}","user_id":"{user}"}},"tier":"{tier}"}}"#
        );
        Self { id, tier, session, agent, user, tag, time, json }
    }
}
