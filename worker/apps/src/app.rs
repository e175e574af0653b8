//! Which applications there are.

program::choice! {
    /// An application, as `--app` names it.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum App {
        /// Rooms of people: [`Chat`](crate::chat::Chat).
        Chat = "chat",
        /// Everything comes back: [`Echo`](crate::echo::Echo).
        Echo = "echo",
    }
}
