/// Declares `Counters`: plain numbers since a start, each with its doc, and with name and doc for whoever lists them.
#[macro_export]
macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)*) => {
        /// Plain numbers since the start. One thread alone writes them.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: u64,)*
        }

        impl Counters {
            /// Every counter.
            pub fn all(&self) -> impl Iterator<Item = $crate::Counter> + Clone + use<> {
                [$($crate::Counter {
                    name: stringify!($name),
                    help: concat!($($doc),+),
                    count: self.$name,
                },)*].into_iter()
            }
        }
    };
}

/// One of the numbers that [`counters!`](crate::counters) declares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counter {
    /// What it is called in code.
    pub name: &'static str,
    /// What it counts, in a sentence.
    pub help: &'static str,
    /// How often that was.
    pub count: u64,
}
