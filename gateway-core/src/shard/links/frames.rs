//! What comes over inner connections: frames, authorization, worker names.

use std::mem;

use protocol::InnerAuth;
use protocol::inner::{self, Cmd, FLAG_REPORT_WANTED, Frame, FrameError, Hello, Run, ext};

use super::in_flight::InFlight;
use super::link::Link;
use super::workers::WorkerId;
use super::{LinkId, Links};
use crate::shard::events::reroute::{self, Lost};
use crate::shard::notices::{Gone, Notice};
use crate::shard::{Action, Shard};

/// Whether the link is still there after a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LinkState {
    Open,
    Gone,
}

impl Link {
    /// A peer that asks and does not read the answers gets no more of them: its next question waits, and all behind it.
    fn stall(&mut self, queued_max: usize, next: &Frame<'_>) -> bool {
        let is_full = self.out.queue.len() >= queued_max;
        let is_report = self.worker.is_none() && next.flag & FLAG_REPORT_WANTED != 0;
        let is_question = is_report || Cmd::from_u8(next.cmd).is_some_and(Cmd::is_query);
        self.stalled = is_full && is_question && self.asker(next).id.is_none();
        self.stalled
    }
}

impl Links {
    /// Whether this is where the core in the shard's thread asks, and what it commanded before is not all served.
    fn is_behind_guest(&self, id: LinkId) -> bool {
        let is_asking = self.get(id).is_some_and(|link| link.worker.is_none());
        is_asking && self.iter().any(|link| link.is_guest && link.worker.is_some() && link.is_held_up())
    }

    /// Where it asks, if this is where it commands.
    fn behind_guest(&self, id: LinkId) -> Vec<LinkId> {
        if !self.get(id).is_some_and(|link| link.is_guest && link.worker.is_some()) {
            return Vec::new();
        }
        let asking = self.iter().filter(|link| link.is_guest && link.worker.is_none());
        asking.map(|link| link.id).collect()
    }
}

impl Shard {
    /// Bytes from a link, or none: then what waits is served, after a stall.
    pub(crate) fn link_received(&mut self, id: LinkId, bytes: &[u8]) {
        let Some(link) = self.links.get_mut(id) else { return };
        if link.refused {
            return;
        }
        link.pulse.heard();
        if mem::take(&mut link.silent) {
            self.resume_stalled_clients(id);
        }
        let Some(link) = self.links.get_mut(id) else { return };
        if link.is_held_up() || (link.is_guest && self.links.is_behind_guest(id)) {
            return self.links.get_mut(id).into_iter().for_each(|link| link.rest.extend_from_slice(bytes));
        }
        let Some(link) = self.links.get_mut(id) else { return };
        let mut rest = mem::take(&mut link.rest);
        let input = if rest.is_empty() {
            bytes
        } else {
            rest.extend_from_slice(bytes);
            &rest
        };
        let Some(consumed) = self.serve(id, input) else { return };
        self.give_receipt(id);
        let Some(link) = self.links.get_mut(id) else { return };
        if rest.is_empty() {
            rest.extend_from_slice(&bytes[consumed..]);
        } else {
            rest.drain(..consumed);
        }
        if rest.capacity() > REST_KEPT_MAX && rest.len() < rest.capacity() / 4 {
            rest.shrink_to_fit();
        }
        link.rest = rest;
    }

    /// The peer has sent its FIN. A packet right before it has been served (WIRE.md §3); its reply goes out first.
    pub(crate) fn link_ended(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        link.closing = true;
        self.close_link_if_done(id);
    }

    /// Closes a link at once, and the log will say why.
    pub(crate) fn close_link_because(&mut self, id: LinkId, why: Gone) {
        if let Some(link) = self.links.get_mut(id) {
            link.gone = why;
        }
        self.close_link(id);
    }

    /// Our FIN once everything is sent; the link goes with the peer's.
    pub(crate) fn shut_down_link(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        if !mem::replace(&mut link.leaving, true) {
            link.give_last_receipt(&mut self.output);
        }
        let is_told = link.departed.is_empty() && !link.answers.are_waiting();
        if link.out.queue.is_empty() && is_told && !link.shut {
            link.shut = true;
            self.output.actions.push(Action::Shutdown(id.socket()));
        }
    }

    /// Closes a link at once. Its clients go to other workers, with the events that it had not taken and with new ones.
    pub(crate) fn close_link(&mut self, id: LinkId) {
        let behind = self.links.behind_guest(id);
        let Some(mut link) = self.links.remove(id) else { return };
        self.links.remember_taken(&link, self.now);
        let mut lost = Lost::default();
        let kept = link.in_flight.take().and_then(|in_flight| in_flight.end(&mut self.clients));
        if let Some(worker) = link.worker {
            let key = self.links.workers.key(worker).to_owned();
            self.hooks.call(self.now, "on_worker_closed", |hooks| hooks.on_worker_closed(&key));
            self.notices.push(Notice::Gone { key: key.as_str().into(), why: link.why_gone() });
            self.links.workers.disconnect(worker, id);
            let left = match kept {
                // A gateway that ends has told all it had to tell.
                Some(kept) if !link.leaving => self.again(&link, kept),
                _ => reroute::unsent(&link.out.queue),
            };
            lost = self.reroute(left, &key);
        }
        link.out.queue.clear(&mut self.output.spare);
        self.output.actions.push(Action::Close(id.socket()));
        self.retry_departed(link.departed);
        self.replay_all(lost);
        self.release_suspects();
        for client in link.stalled_clients {
            self.resume_client(client);
        }
        self.resume_ready();
        behind.into_iter().for_each(|behind| self.link_received(behind, &[]));
    }

    /// Something has been sent on a link: who waited for room may have it now.
    pub(crate) fn link_sent(&mut self, id: LinkId) {
        let limit = self.settings.send_to_worker_buffer_size;
        let Some(link) = self.links.get(id) else { return };
        let queued = link.out.queue.len();
        if link.refused && queued == 0 {
            return self.linger_link(id);
        }
        if !link.leaving && (queued > limit / 2 || !link.is_waited_for()) {
            return;
        }
        let leaving = link.leaving;
        self.resume_stalled_clients(id);
        self.give_receipt(id);
        self.continue_answers(id);
        if leaving {
            return self.shut_down_link(id);
        }
        let Some(link) = self.links.get_mut(id) else { return };
        if mem::take(&mut link.stalled) {
            return self.resume_link(id);
        }
        if link.closing {
            self.close_link_if_done(id);
        }
    }

    /// Those that waited longest first, until the link is full again. Of a draining link, nobody waits for room.
    pub(crate) fn resume_stalled_clients(&mut self, id: LinkId) {
        let limit = self.settings.send_to_worker_buffer_size;
        let Some(link) = self.links.get(id).filter(|link| link.drain.is_none()) else { return };
        // Once each: who waits for others' events may have to wait again.
        for _ in 0..link.departed.len() + link.stalled_clients.len() {
            let Some(link) = self.links.get_mut(id) else { return };
            if link.out.queue.len() >= limit || link.silent || !link.is_window_open() {
                return;
            }
            if let Some(departed) = link.departed.pop_front() {
                self.retry_departed([departed]);
            } else if let Some(client) = link.stalled_clients.pop_front() {
                self.resume_client(client);
            } else {
                return;
            }
        }
    }

    /// What held up a link is done: its fan-out had to wait, or its list took several turns.
    pub(crate) fn link_idle(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        link.busy = false;
        self.resume_link(id);
    }

    /// Serves what waits on a link that is not held up any more.
    fn resume_link(&mut self, id: LinkId) {
        self.output.actions.push(Action::Resume(id.socket()));
        self.link_received(id, &[]);
        for behind in self.links.behind_guest(id) {
            self.link_received(behind, &[]);
        }
        if self.links.get(id).is_some_and(|link| link.closing) {
            self.close_link_if_done(id);
        }
    }

    /// After the peer's FIN: what it sent is served, and answered unless it was a worker.
    fn close_link_if_done(&mut self, id: LinkId) {
        let Some(link) = self.links.get(id) else { return };
        if !link.is_held_up() && (link.out.queue.is_empty() || link.worker.is_some()) {
            self.close_link(id);
        }
    }

    /// Serves the whole frames in `input`. Returns the bytes they took, or `None` if the link is gone.
    fn serve(&mut self, id: LinkId, input: &[u8]) -> Option<usize> {
        let (mut consumed, queued_max) = (0, self.settings.send_to_worker_buffer_size);
        loop {
            // One look-up for each frame: there are many.
            let link = self.links.get_mut(id)?;
            if link.is_held_up() {
                self.output.actions.push(Action::Pause(id.socket()));
                return Some(consumed);
            }
            match inner::decode(&input[consumed..], link.frame_size_max()) {
                Ok(None) => return Some(consumed),
                Ok(Some((frame, size))) => {
                    let owes_answers = link.owes_answers(queued_max);
                    if owes_answers && link.stall(queued_max, &frame) {
                        self.output.actions.push(Action::Pause(id.socket()));
                        return Some(consumed);
                    }
                    link.take(&frame);
                    let is_authorized = link.authorized;
                    consumed += size;
                    self.counters.frames_in += 1;
                    if self.on_frame(id, &frame, is_authorized, owes_answers) == LinkState::Gone {
                        return None;
                    }
                }
                Err(FrameError) => {
                    self.counters.links_malformed += 1;
                    self.close_link_because(id, Gone::Malformed);
                    return None;
                }
            }
        }
    }

    fn on_frame(
        &mut self,
        id: LinkId,
        frame: &Frame<'_>,
        is_authorized: bool,
        owes_answers: bool,
    ) -> LinkState {
        let cmd = Cmd::from_u8(frame.cmd);
        match cmd {
            Some(Cmd::WorkerConnect) => return self.on_worker_connect(id, frame),
            Some(Cmd::GatewayClientConnect) => {
                let key = ext::ClientConnect::decode(frame.body).and_then(|connect| connect.secret_key);
                return self.authorize(id, key.as_deref(), false);
            }
            _ => {}
        }
        if !is_authorized {
            return self.on_strangers_frame(id, frame);
        }
        if owes_answers && let Some(state) = self.put_aside(id, frame) {
            return state;
        }
        if let Some(cmd) = cmd {
            self.apply(id, cmd, frame);
        }
        LinkState::Open
    }

    fn on_worker_connect(&mut self, id: LinkId, frame: &Frame<'_>) -> LinkState {
        let connect = ext::WorkerConnect::decode(frame.body);
        let key = connect.as_ref().and_then(|connect| connect.secret_key.as_deref());
        let run = connect.as_ref().filter(|connect| connect.ringway).and_then(|connect| connect.run);
        if self.authorize(id, key, run.is_some()) == LinkState::Gone {
            return LinkState::Gone;
        }
        let Some(connect) = connect else { return self.refuse(id) };
        let Some(link) = self.links.get(id) else { return LinkState::Gone };
        let previous = link.worker;
        let key = format!("{}:{}", link.peer.ip().to_canonical(), connect.worker_key);
        if let Some(why) = self.links.name_refused(&key, id, run) {
            self.counters.workers_refused += 1;
            self.notices.push(Notice::Refused { key: key.into(), why });
            return self.refuse_with_reason(id, why);
        }
        let Ok((worker, displaced)) = self.links.workers.connect(&key, id) else {
            self.counters.commands_refused += 1;
            return self.refuse(id);
        };
        if let Some(previous) = previous.filter(|previous| *previous != worker) {
            let key = self.links.workers.key(previous).into();
            self.notices.push(Notice::Gone { key, why: Gone::Renamed });
            self.links.workers.disconnect(previous, id);
        }
        let taken = connect.resume.zip(run).and_then(|(link, run)| {
            self.links.taken_of(link, run, displaced.filter(|displaced| *displaced != id), self.now)
        });
        self.greet(id, worker, &connect, run, taken.map(|taken| taken.frames));
        if let Some(taken) = taken {
            self.take_over_fan_out(taken.link, id);
        }
        if let Some(displaced) = displaced.filter(|displaced| *displaced != id) {
            self.displace(&key, displaced, run);
        }
        self.hooks.call(self.now, "on_worker_connected", |hooks| hooks.on_worker_connected(&key));
        if previous != Some(worker) {
            self.notices.push(Notice::Connected { key: key.into() });
        }
        self.retry_without_worker();
        self.undrain(id);
        for (_, client) in self.deadlines.no_worker.take_all() {
            self.resume_client(client);
        }
        self.release_suspects();
        if previous.is_some() {
            self.resume_stalled_clients(id);
            self.resume_ready();
        }
        LinkState::Open
    }

    /// Notes what a worker that is taken has said of itself, and answers one of ours.
    fn greet(
        &mut self,
        id: LinkId,
        worker: WorkerId,
        connect: &ext::WorkerConnect,
        run: Option<Run>,
        taken: Option<u32>,
    ) {
        let is_asked = connect.acks && run.is_some() && connect.window.is_some();
        let acks = is_asked.then(|| self.links.name_events(self.identity.run()));
        run.into_iter().for_each(|run| self.suspects.lives(run, self.now));
        let is_ending = self.is_ending();
        let Some(link) = self.links.get_mut(id) else { return };
        if link.worker.replace(worker).is_none() {
            link.out.queue.set_apart();
        }
        (link.ringway, link.run) = (connect.ringway, run);
        link.answers_handshakes = connect.ringway && connect.handshakes;
        link.begin_to_count();
        let granted = connect.window.filter(|_| connect.ringway);
        let in_flight = granted.map(|window| InFlight::new(window, acks, self.suspects.are_alone()));
        if let Some(before) = mem::replace(&mut link.in_flight, in_flight) {
            // The worker begins anew, and says nothing of these any more.
            let kept = before.end(&mut self.clients).into_iter().flatten();
            kept.filter_map(|event| event.repeat).for_each(|repeat| self.suspects.forget(repeat.id));
        }
        if link.ringway {
            let windows = link.in_flight.is_some();
            let hello = Hello { refused: None, windows, answers: windows, acks, taken };
            let hello = Frame { body: &hello.encode(), ..Frame::command(Cmd::RingwayHello) };
            link.queue_frame(&mut self.output, &hello);
            link.pulse.begin();
            link.ping(&mut self.output);
            if is_ending {
                link.give_last_receipt(&mut self.output);
            }
        }
        if link.is_guest {
            self.links.workers.prefer(worker);
        }
    }

    /// Compares the key strictly; a missing one matches nothing, not even the empty key (WIRE.md §3). Where it is to be proven,
    /// none is to be said. `asked`: the peer wants to be told.
    fn authorize(&mut self, id: LinkId, key: Option<&str>, asked: bool) -> LinkState {
        if self.settings.inner_auth == InnerAuth::Challenge {
            let is_proven = self.links.get(id).is_some_and(|link| link.authorized);
            let is_said = key.is_some_and(|key| !key.is_empty());
            return if is_proven && !is_said { LinkState::Open } else { self.refuse_unproven(id, asked) };
        }
        if !key.is_some_and(|key| protocol::is_secret(key, &self.settings.secret_key)) {
            return self.refuse_key(id, asked);
        }
        match self.links.get_mut(id) {
            Some(link) => {
                link.authorized = true;
                LinkState::Open
            }
            None => LinkState::Gone,
        }
    }

    pub(super) fn refuse(&mut self, id: LinkId) -> LinkState {
        self.close_link(id);
        LinkState::Gone
    }
}

/// A link's input buffer that is larger than this, in bytes, and mostly empty, is given back.
const REST_KEPT_MAX: usize = 256 * 1024;
