//! The command link to one gateway: events come in, commands go out.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddrV4;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use futures_lite::{AsyncRead, AsyncWrite};
use glommio::Task;
use glommio::net::TcpStream;
use protocol::client::Kind;
use protocol::inner::{self, Cmd, FLAG_BINARY, FLAG_TEXT, FRAME_SIZE_MAX, FRAME_SIZE_MAX_RINGWAY, Frame};
use protocol::pulse::{Pulse, Sign};
use tracing::info;

use super::backlog::Backlog;
use super::wire::Outbox;

/// The command link to one gateway shard, connected or not.
///
/// Commands are appended by whoever runs on the core; the link's own task sends them in one piece when the core has
/// handled what was ready.
#[derive(Debug)]
pub(crate) struct Link {
    address: SocketAddrV4,
    /// In the last list of some register.
    pub(super) listed: Cell<bool>,
    /// The first attempt has ended, well or not: the link was taken, or will not be at once.
    pub(super) attempted: Cell<bool>,
    /// The gateway is a Ringway one: it knows text from binary (WIRE.md §14).
    pub(super) extended: Cell<bool>,
    /// The gateway at this address has said that it is one of ours, since it was last new in a list.
    was_ours: Cell<bool>,
    /// The gateway takes connections and says nothing, as one does whose process is stopped: not asked, and told nothing,
    /// until it speaks.
    mute: Cell<bool>,
    /// Looks since something was last heard, or might have been.
    unheard_looks: Cell<u8>,
    /// The last DRAIN that the gateway has answered; 0: none.
    pub(super) drained: Cell<u32>,
    /// The gateway has taken this link: it is one of ours and said so, or has kept it for a while.
    pub(super) up: Cell<bool>,
    /// Why the gateway does not take this link, if it has said so.
    pub(super) refused: Cell<Option<inner::Refused>>,
    /// Given up by the core; the link's task is about to close the connection.
    given_up: Cell<bool>,
    stream: RefCell<Option<TcpStream>>,
    pulse: Cell<Pulse>,
    /// Not read at the moment, so what the gateway says cannot be heard.
    pub(super) unread: Cell<bool>,
    /// Listed anew since it was last connected to.
    relisted: Cell<bool>,
    /// The task that waits to connect again.
    retry: RefCell<Option<Waker>>,
    outbox: RefCell<Outbox>,
    /// Where what is queued counts, for all links of the core together.
    backlog: Rc<Backlog>,
    /// Bytes received since the link was made.
    received: Cell<u64>,
    /// The task that sends, asleep because there was nothing to send.
    sender: RefCell<Option<Waker>>,
    /// Those who wait until what they queued is sent.
    flush_waiters: RefCell<Vec<Waker>>,
    /// The task that closes the connection when the link is given up.
    closer: RefCell<Option<Waker>>,
    /// Runs the link; cancelled when dropped.
    pub(super) task: RefCell<Option<Task<()>>>,
}

/// Why a command was not queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    NotConnected,
    TooLarge,
}

impl Link {
    pub(super) fn new(address: SocketAddrV4, backlog: Rc<Backlog>) -> Link {
        Link {
            address,
            listed: Cell::new(true),
            attempted: Cell::new(false),
            extended: Cell::new(false),
            was_ours: Cell::new(false),
            mute: Cell::new(false),
            unheard_looks: Cell::new(0),
            drained: Cell::new(0),
            up: Cell::new(false),
            refused: Cell::new(None),
            given_up: Cell::new(false),
            stream: RefCell::new(None),
            pulse: Cell::default(),
            unread: Cell::new(false),
            relisted: Cell::new(false),
            retry: RefCell::new(None),
            outbox: RefCell::default(),
            backlog,
            received: Cell::new(0),
            sender: RefCell::new(None),
            flush_waiters: RefCell::default(),
            closer: RefCell::new(None),
            task: RefCell::new(None),
        }
    }

    pub(crate) fn address(&self) -> SocketAddrV4 {
        self.address
    }

    pub(crate) fn is_connected(&self) -> bool {
        !self.given_up.get() && self.stream.borrow().is_some()
    }

    /// Bytes that wait to be sent.
    pub(super) fn queued(&self) -> usize {
        self.outbox.borrow().unsent().len()
    }

    /// Bytes that were ever received.
    pub(super) fn received(&self) -> u64 {
        self.received.get()
    }

    /// Forgets what is queued, and has the link's task close the connection.
    pub(super) fn give_up(&self) {
        self.given_up.set(true);
        self.forget_queued();
        if let Some(closer) = self.closer.borrow_mut().take() {
            closer.wake();
        }
    }

    /// Ready once the link was given up.
    pub(super) async fn given_up(&self) {
        poll_fn(|cx| {
            if self.given_up.get() {
                return Poll::Ready(());
            }
            *self.closer.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Whether there is a connection, and nothing speaks against an answer.
    pub(super) fn is_answering(&self) -> bool {
        self.is_connected() && !self.mute.get()
    }

    /// Whether it was heard within the time in which a gateway of ours always says something.
    pub(super) fn is_heard(&self) -> bool {
        self.is_extended() && self.unheard_looks.get() < HEARD_LOOKS
    }

    /// Whether what the gateway says has been read for long enough to be heard: a core that has enough to do reads nothing.
    pub(super) fn is_listened_to(&self) -> bool {
        !self.unread.get() && self.unheard_looks.get() >= LISTENED_LOOKS
    }

    /// Whether it has to say that it is one of ours, and has not, though it has had time: not if it has said anything
    /// else, as a gateway of PHP's does in its place.
    pub(super) fn owes_hello(&self, received_before: u64) -> bool {
        if self.received.get() > received_before && !self.is_extended() {
            self.was_ours.set(false);
        }
        self.was_ours.get() && !self.is_extended()
    }

    /// The gateway takes connections, or has one, and says nothing.
    pub(super) fn set_mute(&self) {
        self.mute.set(true);
        // A list from before tells nothing.
        self.relisted.set(false);
    }

    /// A register has just listed the gateway, perhaps because it has started again: then there is no use in waiting. One
    /// that says nothing has not, unless it is new in the list; then it may also be another.
    pub(super) fn relist(&self, new: bool) {
        if new {
            self.mute.set(false);
            self.was_ours.set(self.is_extended());
        } else if self.mute.get() {
            return;
        }
        self.relisted.set(true);
        if let Some(retry) = self.retry.borrow_mut().take() {
            retry.wake();
        }
    }

    /// Ready once the gateway has been listed anew.
    pub(super) async fn relisted(&self) {
        poll_fn(|cx| {
            if self.relisted.take() {
                return Poll::Ready(());
            }
            *self.retry.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// The gateway is one of ours: it gets text told from binary, and pings.
    pub(super) fn greet(&self) {
        self.extended.set(true);
        self.was_ours.set(true);
        self.beat(Pulse::begin);
        self.ping();
    }

    /// The gateway pings, so it will again.
    pub(super) fn pinged(&self) {
        self.beat(Pulse::pinged);
    }

    /// The same of PHP's ping, which gateways of ours send too.
    pub(super) fn php_pinged(&self) {
        self.beat(Pulse::php_pinged);
    }

    /// What the signs of life say; to be asked every [`protocol::pulse::LOOK_PERIOD_MS`].
    pub(super) fn look(&self) -> Sign {
        self.unheard_looks.set(self.unheard_looks.get().saturating_add(1));
        if self.unread.get() {
            self.beat(Pulse::heard);
            self.unheard_looks.set(0);
        }
        let queued = !self.outbox.borrow().is_empty();
        self.beat(|pulse| pulse.look(queued))
    }

    /// Queues a ping, however full the queue is.
    pub(super) fn ping(&self) {
        self.queue(&Frame::command(Cmd::RingwayPing));
    }

    fn beat<T>(&self, change: impl FnOnce(&mut Pulse) -> T) -> T {
        let mut pulse = self.pulse.get();
        let result = change(&mut pulse);
        self.pulse.set(pulse);
        result
    }

    /// Whether it leads to a gateway of ours.
    pub(super) fn is_extended(&self) -> bool {
        self.extended.get()
    }

    /// Queues one of our additions to the wire (WIRE.md §14), however much is queued: there are few of them.
    pub(super) fn say(&self, cmd: Cmd, body: &[u8]) {
        debug_assert!(self.is_extended(), "others would not know what to make of it");
        self.queue(&Frame { body, ..Frame::command(cmd) });
    }

    /// Queues a command, however much is queued. `kind` is told to gateways that understand it.
    pub(crate) fn push(&self, frame: &Frame<'_>, kind: Kind) -> Result<(), Refused> {
        if !self.is_answering() {
            return Err(Refused::NotConnected);
        }
        let size_max = if self.extended.get() { FRAME_SIZE_MAX_RINGWAY } else { FRAME_SIZE_MAX };
        if frame.size() > size_max {
            return Err(Refused::TooLarge);
        }
        let kind_flag = if self.extended.get() { flag(kind) } else { 0 };
        self.queue(&Frame { flag: frame.flag | kind_flag, ..*frame });
        Ok(())
    }

    fn queue(&self, frame: &Frame<'_>) {
        // Half a frame may be sent: nothing must follow it.
        if self.given_up.get() {
            return;
        }
        frame.encode(self.outbox.borrow_mut().tail());
        self.backlog.add(frame.size());
        self.wake_sender();
    }

    fn forget_queued(&self) {
        self.backlog.take(self.queued());
        self.outbox.borrow_mut().clear();
        self.wake_flush_waiters();
    }

    fn wake_sender(&self) {
        if let Some(sender) = self.sender.borrow_mut().take() {
            sender.wake();
        }
    }

    /// Takes over a fresh connection; `hello` goes out first.
    pub(super) fn attach(&self, stream: TcpStream, hello: &[u8]) {
        self.forget_queued();
        self.given_up.set(false);
        self.outbox.borrow_mut().tail().extend_from_slice(hello);
        self.backlog.add(hello.len());
        self.pulse.set(Pulse::default());
        self.relisted.set(false);
        *self.stream.borrow_mut() = Some(stream);
    }

    /// Closes the connection; what was queued is lost with it.
    pub(super) fn detach(&self) {
        self.stream.borrow_mut().take();
        self.forget_queued();
        self.extended.set(false);
        self.drained.set(0);
    }

    /// Reads into `buffer`; 0 at the end.
    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.stream.borrow_mut().as_mut() {
            Some(stream) => {
                let size = ready!(Pin::new(stream).poll_read(cx, buffer))?;
                self.beat(Pulse::heard);
                self.unheard_looks.set(0);
                if self.mute.replace(false) {
                    info!(gateway = %self.address, "the gateway speaks again");
                }
                self.received.set(self.received.get() + size as u64);
                Poll::Ready(Ok(size))
            }
            None => Poll::Ready(Ok(0)),
        }
    }

    /// Sends what is queued; ready when nothing is left.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = self.stream.borrow_mut();
        let Some(stream) = stream.as_mut() else {
            return Poll::Ready(Ok(()));
        };
        let mut outbox = self.outbox.borrow_mut();
        while !outbox.is_empty() {
            let size = ready!(Pin::new(&mut *stream).poll_write(cx, outbox.unsent()))?;
            outbox.advance(size);
            self.backlog.take(size);
            self.beat(Pulse::said);
            self.wake_flush_waiters();
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when everything that is queued now has been sent, or is lost.
    pub(super) async fn flushed(&self) {
        let end = self.outbox.borrow().end();
        poll_fn(|cx| {
            if self.outbox.borrow().is_past(end) {
                return Poll::Ready(());
            }
            self.flush_waiters.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn wake_flush_waiters(&self) {
        self.flush_waiters.borrow_mut().drain(..).for_each(Waker::wake);
    }

    /// Sends whatever is queued, now and later; ready only when the connection fails.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if let Err(error) = ready!(self.poll_flush(cx)) {
            return Poll::Ready(error);
        }
        *self.sender.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Tells the gateway that nothing more will come.
    pub(super) fn poll_finish(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.stream.borrow_mut().as_mut() {
            Some(stream) => Pin::new(stream).poll_close(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

/// A gateway of ours says something every 2 s.
const HEARD_LOOKS: u8 = 4;

/// A whole period lies between two looks.
const LISTENED_LOOKS: u8 = 2;

fn flag(kind: Kind) -> u8 {
    match kind {
        Kind::Unspecified => 0,
        Kind::Text => FLAG_TEXT,
        Kind::Binary => FLAG_BINARY,
    }
}
