//! Keeps a panic in the user's code from ending the core.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use program::catch;

/// What a future panicked with.
pub(super) struct Panic(program::Panic);

/// Runs a future to its end, or to its panic, which leaves what it shares with others as it was at that moment.
pub(super) async fn caught<T>(future: impl Future<Output = T>) -> Result<T, Panic> {
    let mut future = pin!(Some(future));
    poll_fn(|cx| {
        let polled = catch(|| {
            let running = future.as_mut().as_pin_mut().expect("not polled after its end");
            let polled = running.poll(cx);
            if polled.is_ready() {
                future.set(None);
            }
            polled
        });
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(panic) => {
                // Dropping what is left may panic again; once is enough to tell.
                let _ = catch(|| future.set(None));
                Poll::Ready(Err(Panic(panic)))
            }
        }
    })
    .await
}

/// The text of the panic, where it was, and what to do about it where that is known.
impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(&text)?;
        if text.contains(NO_TOKIO) { f.write_str(TOKIO_HINT) } else { Ok(()) }
    }
}

/// What tokio says where it does not run, to all that needs it.
const NO_TOKIO: &str = "there is no reactor running";

const TOKIO_HINT: &str = " (what needs tokio, such as reqwest or sqlx, does not run on a core: give it to \
                          `gateway.tokio(async move { … }).await`, feature `tokio` of ringway-worker)";

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Panic({self})")
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, yield_now};

    use super::*;

    /// Panics when it is dropped.
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("dropped");
            }
        }
    }

    #[test]
    fn a_future_without_a_panic_gives_its_value() {
        let result = block_on(caught(async {
            yield_now().await;
            5
        }));
        assert_eq!(result.unwrap(), 5);
    }

    #[test]
    fn a_panic_is_told_with_its_text() {
        let fixed = block_on(caught(async { panic!("fixed") }));
        assert_eq!(fixed.map(|(): ()| ()).unwrap_err().to_string(), "fixed");
        let formatted = block_on(caught(async {
            yield_now().await;
            panic!("number {}", 5)
        }));
        assert_eq!(formatted.map(|(): ()| ()).unwrap_err().to_string(), "number 5");
        let other = block_on(caught(async { std::panic::panic_any(5) }));
        assert_eq!(other.map(|(): ()| ()).unwrap_err().to_string(), "without a text");
    }

    #[test]
    fn what_needs_tokio_is_told_where_to_go() {
        let result =
            block_on(caught(async { tokio::net::TcpListener::bind("127.0.0.1:0").await.map(|_| ()) }));
        let told = result.unwrap_err().to_string();
        assert!(told.contains("there is no reactor running") && told.contains("`gateway.tokio("), "{told}");
    }

    #[test]
    fn a_panic_while_its_rest_is_dropped_is_caught_too() {
        let bomb = Bomb;
        let result = block_on(caught(poll_fn(move |_| {
            let _armed = &bomb;
            Poll::Ready(())
        })));
        assert_eq!(result.unwrap_err().to_string(), "dropped");
    }
}
