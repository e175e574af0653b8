//! What keeps a command link up: connect, serve, connect again.

use std::io;
use std::net::SocketAddrV4;
use std::time::Duration;

use protocol::inner::drain::decode_round;
use protocol::inner::{Cmd, Frame, FrameError, Hello, Refused};
use tracing::{debug, info, warn};

use super::announced::{LinkState, Trouble};
use super::connections::{ConnId, Purpose};
use super::link::{Fate, Link, SILENT, Seen, State};
use super::proof::Aim;
use super::{Action, Core, Notice, Timer};

impl Core {
    /// A gateway is new.
    pub(super) fn link_begin(&mut self, gateway: SocketAddrV4) {
        self.links.insert(Link::new(gateway, self.now));
        self.link_connect(gateway);
    }

    pub(super) fn link_connect(&mut self, gateway: SocketAddrV4) {
        let conn = self.dial(gateway, Aim::Link);
        if let Some(link) = self.links.find_mut(gateway) {
            link.connecting(conn, self.now);
        }
        self.arm_link(gateway);
    }

    /// The connection stands, and the key is to be proven first.
    pub(super) fn link_proving(&mut self, gateway: SocketAddrV4, conn: ConnId) {
        if let Some(link) = self.links.find_mut(gateway) {
            link.proving(conn, self.now);
        }
        self.arm_link(gateway);
    }

    /// The connection stands. A core that hands its clients over must not get new ones.
    pub(super) fn link_opened(&mut self, gateway: SocketAddrV4, conn: ConnId) {
        if self.draining.has_begun() {
            return self.link_disconnect(gateway);
        }
        let hello = self.hello(gateway);
        self.backlog.add(hello.len());
        self.connections.tail(conn).extend_from_slice(&hello);
        if let Some(link) = self.links.find_mut(gateway) {
            link.opened(conn, self.now);
        }
        self.arm_link(gateway);
    }

    /// Looks at a link whose time has come.
    pub(super) fn link_due(&mut self, gateway: SocketAddrV4) {
        let (is_over, is_wanted) = (self.draining.has_begun(), self.is_wanted(gateway));
        let Some(link) = self.links.find_mut(gateway) else { return };
        if link.due() > self.now {
            return self.arm_link(gateway);
        }
        match &link.state {
            State::Away { .. } if is_over && link.kept.is_some() => {
                self.changed = true;
                self.abandon_lost();
            }
            State::Away { .. } if is_over || !is_wanted => self.link_forget(gateway),
            State::Away { .. } => self.link_connect(gateway),
            State::Connecting { conn, .. } if self.proofs.is_unasked(*conn) => self.link_unasked(gateway),
            State::Connecting { .. } => {
                let late = io::Error::new(io::ErrorKind::TimedOut, "it does not take the connection");
                self.link_ended(gateway, late);
            }
            State::Open(open) => {
                let queued = self.connections.queued(open.conn) > 0;
                let seen = link.look(queued, self.now);
                self.link_seen(gateway, seen);
                self.arm_link(gateway);
            }
        }
    }

    fn link_seen(&mut self, gateway: SocketAddrV4, seen: Seen) {
        if seen.taken {
            self.link_taken(gateway);
        }
        if seen.stranger {
            self.give_up_kept(gateway, true);
        }
        self.established |= seen.established;
        if seen.ping {
            self.say(gateway, Cmd::RingwayPing, &[]);
        }
        if let Some(why) = seen.dead {
            if why == SILENT {
                // The other connection there is no better off.
                self.give_up_queries(gateway);
            }
            self.link_end(gateway, &io::Error::new(io::ErrorKind::TimedOut, why), Fate::Mute);
        }
    }

    /// The gateway has the link, and keeps it.
    fn link_taken(&mut self, gateway: SocketAddrV4) {
        self.set_up(gateway, true);
        self.route_early(gateway);
        self.link_attempted(gateway);
    }

    pub(super) fn link_sent(&mut self, gateway: SocketAddrV4, conn: ConnId, size: usize) {
        self.backlog.take(size);
        if size > 0 {
            self.changed = true;
            if let Some(open) = self.links.find_mut(gateway).and_then(Link::open_mut) {
                open.said();
            }
        }
        if self.connections.is_finished(conn) {
            self.actions.push(Action::Finish(conn));
        }
    }

    /// Takes what came apart. What is left of a bad stream is not looked at.
    pub(super) fn link_received(&mut self, gateway: SocketAddrV4, bytes: &[u8]) {
        let is_fenced = |link: &&mut Link| link.open().is_some_and(|open| open.fenced);
        let Some(link) = self.links.find_mut(gateway).filter(|link| !is_fenced(link)) else { return };
        if link.heard(bytes.len()) {
            info!(%gateway, "the gateway speaks again");
        }
        self.trust_link(gateway);
        let Some(open) = self.links.find_mut(gateway).and_then(Link::open_mut) else { return };
        let conn = open.conn;
        let mut inbox = std::mem::take(&mut open.inbox);
        self.touched.push(gateway);
        let fed = inbox.feed(bytes, |frame| self.take_frame(gateway, conn, frame));
        if let Err(FrameError) = fed {
            self.counters.malformed += 1;
            return self.link_ended(gateway, io::Error::new(io::ErrorKind::InvalidData, FrameError));
        }
        self.route_early(gateway);
        // A frame may have ended the link.
        if let Some(open) = self.links.find_mut(gateway).and_then(Link::open_mut)
            && open.conn == conn
        {
            open.inbox = inbox;
        }
    }

    /// Handles one frame. Commands that a worker does not know are ignored (WIRE.md §4, §14).
    fn take_frame(&mut self, gateway: SocketAddrV4, conn: ConnId, frame: &Frame<'_>) {
        match Cmd::from_u8(frame.cmd) {
            Some(Cmd::OnMessage | Cmd::OnConnect | Cmd::OnClose | Cmd::OnWebsocketConnect) => {
                self.take_event(gateway, conn, frame);
            }
            Some(Cmd::Repeat | Cmd::ClientAddress) => {
                if let Some(open) = self.links.find_mut(gateway).and_then(Link::open_mut) {
                    open.in_front.read(frame);
                }
            }
            Some(Cmd::RingwayHello) => self.on_hello(gateway, frame.body),
            Some(Cmd::Receipt) => self.on_receipt(gateway, frame.body),
            Some(ping @ (Cmd::RingwayPing | Cmd::Ping)) => {
                if let Some(open) = self.links.find_mut(gateway).and_then(Link::open_mut) {
                    if ping == Cmd::Ping { open.php_pinged() } else { open.pinged() }
                }
            }
            Some(Cmd::Answer) => self.on_answer(gateway, frame),
            Some(Cmd::Report) => self.on_report(gateway, frame),
            Some(Cmd::Challenge) => self.link_asked(gateway),
            Some(Cmd::Drained) => self.on_drained(gateway, decode_round(frame.body)),
            _ => {}
        }
    }

    /// A gateway of ours answers: it takes the link, perhaps when others have been told already to give no more events, or
    /// says why not. Its FIN follows then.
    fn on_hello(&mut self, gateway: SocketAddrV4, body: &[u8]) {
        if self.is_ours(gateway) {
            // Numbers would begin anew under events that are handled.
            self.counters.malformed += 1;
            let again = io::Error::new(io::ErrorKind::InvalidData, "it says twice that it is one of ours");
            return self.link_ended(gateway, again);
        }
        let hello = Hello::decode(body).unwrap_or_default();
        let window = self.window_for(gateway).filter(|_| hello.windows);
        let Some(link) = self.links.find_mut(gateway) else { return };
        let Some(open) = link.open_mut() else { return };
        let conn = open.conn;
        open.refused = hello.refused;
        window.into_iter().for_each(|window| self.windows.begin(conn, window, hello.acks));
        if hello.refused.is_some() {
            return;
        }
        link.greeted();
        self.gateway_answers(gateway, hello.acks.map(|acks| acks.run));
        self.resume_kept(gateway, conn, &hello);
        self.begin_answers(gateway, conn, hello.answers && self.windows.knows(conn));
        self.say(gateway, Cmd::RingwayPing, &[]);
        self.trust(gateway);
        if self.draining.has_begun() {
            self.say_drain(gateway);
        }
        self.link_taken(gateway);
    }

    /// The connection has ended, or could not be had.
    pub(super) fn link_ended(&mut self, gateway: SocketAddrV4, error: io::Error) {
        let Some(link) = self.links.find_mut(gateway) else { return };
        match &link.state {
            State::Away { .. } => {}
            _ if self.leaving => self.link_disconnect(gateway),
            State::Connecting { .. } => {
                link.reconnect.unreachable();
                if self.announced.is_news(gateway, LinkState::Unreachable) {
                    warn!(%gateway, "cannot connect to gateway, trying on: {error}");
                }
                let is_gone = !link.listed && error.kind() == io::ErrorKind::ConnectionRefused;
                self.link_disconnect(gateway);
                self.link_attempted(gateway);
                if is_gone {
                    self.gateway_gone(gateway);
                    self.give_up_kept(gateway, true);
                    self.link_forget(gateway);
                }
            }
            State::Open(open) => {
                let fate = open.fate();
                self.link_end(gateway, &error, fate);
            }
        }
    }

    /// Too much is queued for a gateway: half a frame may be sent, so nothing must follow.
    pub(super) fn link_overfull(&mut self, gateway: SocketAddrV4) {
        let fate = self.links.find(gateway).and_then(Link::open).map_or(Fate::Short, |open| open.fate());
        self.link_end(gateway, &io::Error::other("too much was queued for it"), fate);
    }

    /// Ends a connection that stands, and judges what that means for the next.
    fn link_end(&mut self, gateway: SocketAddrV4, why: &io::Error, fate: Fate) {
        let now = self.now;
        let Some(link) = self.links.find_mut(gateway) else { return };
        let Some(open) = link.open() else { return };
        let (was_up, refused) = (open.up, open.refused);
        match (refused, fate) {
            (Some(refused), _) => link.reconnect.refused(refused, now),
            (None, Fate::Short) => link.reconnect.lost(false),
            (None, Fate::Lasted) => link.reconnect.lost(true),
            (None, Fate::Mute) => {
                link.set_mute();
                link.reconnect.mute();
            }
        }
        let (is_to_be_told, is_name_taken) =
            (link.reconnect.is_to_be_told(), link.reconnect.is_name_taken(now));
        self.set_up(gateway, false);
        self.sessions.link_ended(gateway);
        self.link_disconnect(gateway);
        // A name may be free in a moment, and then the worker serves; else it ends.
        if refused.is_none_or(|refused| refused == Refused::Key) {
            self.link_attempted(gateway);
        }
        match refused {
            Some(refused) => self.tell_refused(gateway, refused, is_name_taken),
            None => self.tell_lost(gateway, why, fate, was_up, is_to_be_told),
        }
    }

    /// Ends a connection, or an attempt, that the gateway would not have.
    pub(super) fn link_lost(&mut self, gateway: SocketAddrV4) {
        self.set_up(gateway, false);
        self.sessions.link_ended(gateway);
        self.link_disconnect(gateway);
        self.link_attempted(gateway);
    }

    /// Whether there is to be a link to a gateway: it is listed, or may be alive and miss what it was to be told.
    fn is_wanted(&self, gateway: SocketAddrV4) -> bool {
        let link = self.links.find(gateway);
        link.is_some_and(|link| link.listed || link.kept.is_some()) || self.lost.holds_for(gateway)
    }

    /// Closes the connection, or the attempt, and sees when there is to be another.
    fn link_disconnect(&mut self, gateway: SocketAddrV4) {
        self.changed = true;
        self.end_answers(gateway);
        if let Some(conn) = self.links.find(gateway).and_then(Link::conn) {
            self.give_back(gateway, conn);
            self.lose_events(gateway, conn);
            self.keep_for_next_link(gateway);
            // A proof does not count as queued.
            let is_counted = self.connections.purpose(conn) == Some(Purpose::Link(gateway));
            let lost = self.close(conn);
            self.backlog.take(if is_counted { lost } else { 0 });
        }
        let is_wanted = !self.draining.has_begun() && self.is_wanted(gateway);
        let Some(link) = self.links.find_mut(gateway) else { return };
        let at_once = link.closed(self.now);
        if !is_wanted {
            link.state = State::Away { retry_at: self.now };
        }
        // Where nothing is kept, nobody waits for what is lost.
        self.settle(gateway);
        if at_once && is_wanted {
            return self.link_connect(gateway);
        }
        self.arm_link(gateway);
    }

    /// Events of a link that ends whose handlers have not begun: a gateway that keeps them gives them to others.
    fn give_back(&mut self, gateway: SocketAddrV4, conn: ConnId) {
        if !self.windows.has_acks(conn) {
            return;
        }
        let before = self.fresh.len();
        self.fresh.retain(|event| event.client.id().gateway != gateway);
        let returned = before - self.fresh.len() + self.queues.discard(gateway).len();
        self.counters.events_returned += returned as u64;
    }

    /// Whether a link gets our FIN behind what is queued, as the core stood still.
    pub(super) fn has_fenced(&self) -> bool {
        let is_fenced = |link: &Link| link.open().is_some_and(|open| open.fenced);
        self.counters.standstills > 0 && self.links.all().iter().any(is_fenced)
    }

    /// Ends the links of gateways that keep events: they have given them to others.
    pub(super) fn fence(&mut self, gap: Duration) {
        let has_acks =
            |link: &&Link| link.open().is_some_and(|open| !open.fenced && self.windows.has_acks(open.conn));
        let kept: Vec<_> = self.links.all().iter().filter(has_acks).map(|link| link.address).collect();
        if !kept.is_empty() {
            self.counters.standstills += 1;
            warn!(
                core = self.index,
                seconds = gap.as_secs(),
                "the core stood still for so long that gateways may have given its clients to others: connecting anew"
            );
        }
        // Of what has ended, a gateway that has not given the core up is told.
        self.say_done_now();
        for gateway in kept {
            let Some(open) = self.links.find_mut(gateway).and_then(Link::open_mut) else { continue };
            open.fenced = true;
            let conn = open.conn;
            self.end_answers(gateway);
            self.give_back(gateway, conn);
            self.lose_events(gateway, conn);
            self.keep_for_next_link(gateway);
            self.forget_events(conn);
            self.connections.finish(conn);
            if self.connections.is_finished(conn) {
                self.actions.push(Action::Finish(conn));
            }
        }
    }

    /// Sends what is queued on every link, and that nothing more will come; connects to nobody any more.
    pub(crate) fn finish_links(&mut self) {
        self.leaving = true;
        for conn in self.links.all().iter().filter_map(Link::conn).collect::<Vec<_>>() {
            self.connections.finish(conn);
            if self.connections.is_finished(conn) {
                self.actions.push(Action::Finish(conn));
            }
        }
    }

    /// Whether all of that was sent.
    pub(crate) fn are_links_finished(&self) -> bool {
        let mut open = self.links.all().iter().filter_map(Link::open);
        open.all(|open| self.connections.is_finished(open.conn))
    }

    /// Whether every gateway has read to the end and closed.
    pub(crate) fn are_links_closed(&self) -> bool {
        self.links.all().iter().all(|link| link.conn().is_none())
    }

    pub(crate) fn close_links(&mut self) {
        for gateway in self.links.addresses() {
            self.link_disconnect(gateway);
        }
    }

    fn link_forget(&mut self, gateway: SocketAddrV4) {
        if self.announced.has_left(gateway) {
            info!(%gateway, "gateway left");
        }
        self.links.remove(gateway);
    }

    fn arm_link(&mut self, gateway: SocketAddrV4) {
        if let Some(link) = self.links.find(gateway) {
            self.timers.arm(Timer::Link(gateway), link.due());
        }
    }

    /// An attempt to have a link has come to an end, well or not.
    fn link_attempted(&mut self, gateway: SocketAddrV4) {
        if let Some(link) = self.links.find_mut(gateway)
            && !link.attempted
        {
            link.attempted = true;
            self.check_ready();
        }
    }

    /// Says that the core is ready, the first time that it is: a register has answered, and every known gateway was tried.
    pub(super) fn check_ready(&mut self) {
        let are_tried = self.links.all().iter().all(|link| link.attempted);
        if !self.is_ready && self.registers.have_listed() && are_tried {
            self.is_ready = true;
            self.actions.push(Action::Tell(Notice::Ready));
        }
    }

    /// A link is known to have got through, or is gone.
    fn set_up(&mut self, gateway: SocketAddrV4, up: bool) {
        let Some(open) = self.links.find_mut(gateway).and_then(Link::open_mut) else { return };
        if std::mem::replace(&mut open.up, up) == up {
            return;
        }
        self.changed = true;
        if up && self.announced.is_news(gateway, LinkState::Connected) {
            info!(%gateway, core = self.index, "connected to gateway");
        } else if up {
            debug!(%gateway, core = self.index, "connected to gateway");
        }
        let up = self.links.all().iter().filter(|link| link.open().is_some_and(|open| open.up));
        let up = up.map(|link| link.address).collect();
        self.actions.push(Action::Tell(Notice::Gateways(self.index, up)));
    }

    /// A gateway of ours has said why it does not take a link.
    fn tell_refused(&mut self, gateway: SocketAddrV4, why: Refused, is_name_taken: bool) {
        let name = &self.config.name;
        if !self.announced.is_new_trouble(gateway, Trouble::Refused(why)) {
            debug!(%gateway, core = self.index, "refused again: {why:?}");
        } else {
            match why {
                Refused::Key => warn!(
                    %gateway,
                    "the gateway refuses the secret key: give both the same --secret-key; trying less often"
                ),
                Refused::Name => warn!(
                    %gateway,
                    "another worker named '{name}' is connected to the gateway from this machine: give each its own \
                     --name; trying on"
                ),
                Refused::NameLeaving => info!(
                    %gateway,
                    "waiting for the worker named '{name}' that hands its clients over"
                ),
            }
        }
        if is_name_taken && !self.established {
            self.actions.push(Action::Tell(Notice::NameTaken));
        }
    }

    /// What the gateway did not say has to be guessed.
    pub(super) fn tell_lost(
        &self,
        gateway: SocketAddrV4,
        why: &io::Error,
        fate: Fate,
        was_up: bool,
        is_to_be_told: bool,
    ) {
        let (name, core) = (&self.config.name, self.index);
        let trouble = if was_up { Trouble::ClosedSoon } else { Trouble::ClosedAtOnce };
        if is_to_be_told && self.announced.is_new_trouble(gateway, trouble) {
            match trouble {
                Trouble::ClosedAtOnce => warn!(
                    %gateway,
                    "the gateway closes every link at once, as it does when the secret key is not its own: compare \
                     --secret-key; trying less often"
                ),
                _ => warn!(
                    %gateway,
                    "the gateway closes every link soon after it was opened, trying less often: is another worker named \
                     '{name}' running on this machine (give each its own --name)?"
                ),
            }
        } else if was_up && self.announced.is_news(gateway, LinkState::Lost) {
            warn!(%gateway, core, "lost gateway: {why}");
        } else if !was_up && fate == Fate::Mute && self.announced.is_news(gateway, LinkState::Unreachable) {
            warn!(%gateway, core, "no gateway, trying on: {why}");
        } else {
            debug!(%gateway, core, "lost gateway: {why}");
        }
    }
}
