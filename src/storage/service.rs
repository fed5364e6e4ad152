//! Work that only the process can do that owns the vault, done for the other processes that have it open.
//!
//! The storage carries questions and answers and does not look into them: what they mean is the business of the layer above
//! it, which is the same on both sides.

/// What an owner does for other processes.
pub trait Service: Send + Sync {
    /// Another process begins to ask. What it holds on to goes when what is returned is dropped.
    fn begin(&self) -> Box<dyn Asked>;

    /// The vault is about to be handed over to another process: lets go of what only an owner may have, unless somebody in
    /// this process works with it, and takes nothing up again before [`Service::left`].
    ///
    /// # Errors
    /// Why it cannot be handed over now.
    fn leave(&self) -> Result<(), String>;

    /// The vault was handed over, and this process has nothing of it any more; or it was not, and this process keeps it.
    fn left(&self);
}

/// The owner's side of another process that asks.
pub trait Asked: Send {
    /// Does what is asked, and answers.
    fn answer(&mut self, question: &[u8]) -> Vec<u8>;
}

/// How something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// It changes nothing.
    Read,
    /// It changes something, and doing it twice is as good as once.
    Repeatable,
    /// It changes something, and must not be done twice: when the answer is lost, that is [`super::StorageError::Unanswered`].
    Once,
    /// As `Once`, and the asker holds on to something, on the one connection that lasts as long as the owner does.
    Holding,
}

impl Asking {
    /// Whether what is asked changes something by itself.
    pub(crate) const fn changes(self) -> bool {
        matches!(self, Self::Repeatable | Self::Once)
    }
}
