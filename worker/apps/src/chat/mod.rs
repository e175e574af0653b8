//! A chat with rooms, private messages and the list of who is online. Owns what happens; `words` owns how it is said.
//!
//! Everything it knows is in sessions and groups at the gateways, so any number of workers serve one chat, and a
//! worker that starts again has lost nothing. It must never keep anything about a client itself; what was said is kept by a
//! [`History`], if there is one.
//!
//! A client says `hello` first and waits for `welcome`; from then on its session is where every worker finds it, and its
//! name is its uid. Nobody has a password: who comes with the same name, from another window or another machine, is the same
//! person, who is talked to at all of these places.

mod history;
mod person;
mod words;

use std::fmt::Display;

use person::{Person, valid_name, valid_room};
use words::{ErrorCode, Reply, Request, RoomCount, Said, Who};

use ringway_worker::{Client, ClientId, Events, Gateway, Message, Name};

pub use history::{Forgetful, History, Line, NewLine};

/// A chat with rooms, private messages and the list of who is online.
#[derive(Clone, Debug)]
pub struct Chat<H = Forgetful> {
    history: H,
}

/// A chat that forgets what was said.
impl Default for Chat {
    fn default() -> Chat {
        Chat { history: Forgetful }
    }
}

impl<H: History> Chat<H> {
    /// A chat that keeps what was said.
    pub fn with_history(history: H) -> Chat<H> {
        Chat { history }
    }

    fn speaker<'a>(&'a self, gateway: &'a Gateway, client: &Client) -> Speaker<'a, H> {
        Speaker { gateway, history: &self.history, id: client.id(), person: Person::of(client) }
    }
}

impl<H: History> Events for Chat<H> {
    async fn on_start(&self, gateway: &Gateway) {
        self.history.start(gateway).await;
    }

    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
        let speaker = self.speaker(gateway, client);
        let done = match Request::parse(message.as_bytes()) {
            Ok(request) => speaker.handle(request).await,
            Err(why) => Err(Refusal::new(ErrorCode::Malformed, why)),
        };
        if let Err(Refusal { code, text }) = done {
            speaker.reply(&Reply::Error { code, text: &text, about: None });
        }
    }

    async fn on_close(&self, gateway: &Gateway, client: &Client) {
        let speaker = self.speaker(gateway, client);
        for room in &speaker.person.rooms {
            speaker.tell_room_of_leaving(room).await;
        }
    }
}

/// Why a request was not granted.
struct Refusal {
    code: ErrorCode,
    text: String,
}

impl Refusal {
    fn new(code: ErrorCode, text: impl Display) -> Refusal {
        Refusal { code, text: text.to_string() }
    }
}

/// The client that an event is about.
struct Speaker<'a, H> {
    gateway: &'a Gateway,
    history: &'a H,
    id: ClientId,
    person: Person,
}

impl<H: History> Speaker<'_, H> {
    async fn handle(&self, request: Request) -> Result<(), Refusal> {
        if let Request::Hello { name, rooms } = request {
            return self.hello(&name, &rooms).await;
        }
        if self.person.name.is_empty() {
            return Err(Refusal::new(ErrorCode::Hello, "Say hello first."));
        }
        match request {
            Request::Hello { .. } => {}
            Request::Name { name } => self.rename(&name)?,
            Request::Join { room } => self.join(&room).await?,
            Request::Leave { room } => self.leave(&room).await,
            Request::Say { room, text } => self.say(&room, &text).await?,
            Request::Private { to, text } => self.say_privately(&to, &text).await?,
            Request::Refresh { room } => self.refresh(room.as_deref()).await,
        }
        Ok(())
    }

    async fn hello(&self, name: &str, rooms: &[String]) -> Result<(), Refusal> {
        if !self.person.name.is_empty() {
            return Err(Refusal::new(ErrorCode::Hello, "You said hello already."));
        }
        let mut person = Person { name: checked_name(name)?, rooms: Vec::new() };
        for room in rooms {
            person.enter(room)?;
        }
        // Asked before the name is bound to this client, too.
        let elsewhere = self.gateway.is_uid_online(person.name.as_str()).await.into_value();
        self.store(&person);
        self.gateway.bind_uid(self.id, person.name.as_str());
        self.gateway.join_group(self.id, EVERYBODY);
        let me = Speaker { person, ..*self };
        me.reply(&Reply::Welcome { id: self.id, name: &me.person.name, history: H::KEEPS, elsewhere });
        for room in &me.person.rooms {
            me.come_into(room).await;
        }
        me.list_rooms().await;
        Ok(())
    }

    fn rename(&self, name: &str) -> Result<(), Refusal> {
        let person = Person { name: checked_name(name)?, rooms: self.person.rooms.clone() };
        self.store(&person);
        self.gateway.bind_uid(self.id, person.name.as_str());
        for room in &person.rooms {
            self.tell_room(room, &Reply::Renamed { room, who: Who { id: self.id, name: &person.name } });
        }
        Ok(())
    }

    async fn join(&self, room: &str) -> Result<(), Refusal> {
        let mut person = self.person.clone();
        person.enter(room)?;
        self.store(&person);
        self.come_into(room).await;
        Ok(())
    }

    async fn leave(&self, room: &str) {
        let mut person = self.person.clone();
        if !person.leave(room) {
            return;
        }
        self.store(&person);
        self.gateway.leave_group(self.id, group(room));
        self.tell_room_of_leaving(room).await;
    }

    async fn say(&self, room: &str, text: &str) -> Result<(), Refusal> {
        let text = checked_text(text)?;
        if !self.person.is_in(room) {
            return Err(Refusal::new(ErrorCode::Room, "You are not in this room."));
        }
        // Kept first: who comes in between finds it in the history, or gets it as a member, or both.
        let line = NewLine { room, from: self.id, name: &self.person.name, text };
        let number = self.history.keep(self.gateway, line).await;
        self.tell_room(room, &Reply::Message { room, from: self.who(), text, number });
        Ok(())
    }

    /// To every client of that name, and to all of the speaker's own.
    async fn say_privately(&self, to: &str, text: &str) -> Result<(), Refusal> {
        let (to, text) = (checked_name(to)?, checked_text(text)?);
        let from = self.person.name.as_str();
        let online = self.gateway.is_uid_online(to.as_str()).await;
        // Of a gateway that has not answered nobody knows who is there.
        if !online.value && online.missing.is_empty() {
            self.reply(&Reply::Error { code: ErrorCode::Offline, text: "Not online.", about: Some(&to) });
            return Ok(());
        }
        let message = Reply::Private { from, to: &to, text };
        let both = if to == from { vec![from] } else { vec![to.as_str(), from] };
        self.gateway.send_to_uids(both, message.to_json());
        Ok(())
    }

    /// What changes without being announced: how full rooms are, and who is in large ones.
    async fn refresh(&self, room: Option<&str>) {
        if let Some(room) = room.filter(|room| self.person.is_in(room)) {
            self.people_of(room).await.reply_to(self);
        }
        self.list_rooms().await;
    }

    /// Joins the group of a room that is in the stored session already, and makes both sides known to each other.
    async fn come_into(&self, room: &str) {
        self.gateway.join_group(self.id, group(room));
        let people = self.people_of(room).await;
        people.reply_to(self);
        if people.online <= PEOPLE_MAX {
            self.tell_others(room, &Reply::Joined { room, who: self.who() });
        }
        if people.online == 1 {
            self.gateway.send_to_group(EVERYBODY, Reply::Opened { room }.to_json());
        }
        if H::KEEPS {
            self.recall(room).await;
        }
    }

    /// What was said before.
    async fn recall(&self, room: &str) {
        let latest = self.history.latest(self.gateway, room).await;
        let lines = latest.iter().flatten().map(Said::from).collect();
        self.reply(&Reply::History { room, lines, away: latest.is_none() });
    }

    async fn tell_room_of_leaving(&self, room: &str) {
        let left = self.gateway.client_count_of_group(group(room)).await.into_value();
        if left > 0 && left <= PEOPLE_MAX {
            self.tell_others(room, &Reply::Left { room, who: self.who() });
        }
    }

    async fn people_of<'r>(&self, room: &'r str) -> People<'r> {
        let count = self.gateway.client_count_of_group(group(room)).await.into_value();
        let mut list = Vec::new();
        if count <= PEOPLE_MAX {
            let sessions = self.gateway.sessions_of_group(group(room)).await.into_value();
            list = sessions.iter().map(|(id, session)| (*id, Person::from_session(session).name)).collect();
        }
        // A query may overtake the command that made this client a member (WIRE.md §5).
        if !list.iter().any(|(id, _)| *id == self.id) {
            list.push((self.id, self.person.name.clone()));
        }
        People { room, online: count.max(list.len() as u64), list }
    }

    async fn list_rooms(&self) {
        let groups = self.gateway.groups().await.into_value();
        let mut rooms: Vec<Name> = groups.into_iter().filter(|group| room_of(group).is_some()).collect();
        rooms.sort_unstable();
        rooms.truncate(ROOMS_LISTED_MAX);
        let counts = self.gateway.client_counts_of_groups(rooms).await.into_value();
        let counts = counts.iter().filter_map(|(group, online)| Some((room_of(group)?, *online)));
        let mut rooms: Vec<_> = counts.map(|(name, online)| RoomCount { name, online }).collect();
        if !rooms.iter().any(|room| room.name == LOBBY) {
            rooms.push(RoomCount { name: LOBBY, online: 0 });
        }
        self.reply(&Reply::Rooms { rooms });
    }

    fn who(&self) -> Who<'_> {
        Who { id: self.id, name: &self.person.name }
    }

    /// At once, not behind the handler: others may ask for the session before it has ended.
    fn store(&self, person: &Person) {
        self.gateway.set_session(self.id, person.to_session());
    }

    fn reply(&self, reply: &Reply<'_>) {
        self.gateway.send_to_client(self.id, reply.to_json());
    }

    fn tell_room(&self, room: &str, reply: &Reply<'_>) {
        self.gateway.send_to_group(group(room), reply.to_json());
    }

    fn tell_others(&self, room: &str, reply: &Reply<'_>) {
        self.gateway.send_to_group_except(group(room), &[self.id], reply.to_json());
    }
}

/// Who is in a room; in a large one, only how many.
struct People<'r> {
    room: &'r str,
    online: u64,
    list: Vec<(ClientId, String)>,
}

impl People<'_> {
    fn reply_to(&self, speaker: &Speaker<'_, impl History>) {
        let people = self.list.iter().map(|(id, name)| Who { id: *id, name }).collect();
        speaker.reply(&Reply::Room { room: self.room, people, online: self.online });
    }
}

fn checked_name(name: &str) -> Result<String, Refusal> {
    valid_name(name).map(str::to_owned).ok_or_else(|| {
        let most = person::NAME_CHARS_MAX;
        Refusal::new(ErrorCode::Name, format_args!("A name has 1 to {most} plain characters, and is not 0."))
    })
}

fn checked_text(text: &str) -> Result<&str, Refusal> {
    if text.trim().is_empty() || text.chars().count() > TEXT_CHARS_MAX {
        let why = format_args!("A message has 1 to {TEXT_CHARS_MAX} characters.");
        return Err(Refusal::new(ErrorCode::Text, why));
    }
    Ok(text)
}

fn group(room: &str) -> String {
    format!("{ROOM_PREFIX}{room}")
}

/// The room whose group this is; `None` for groups that are no rooms of this chat.
fn room_of(group: &Name) -> Option<&str> {
    let name = std::str::from_utf8(group.as_bytes()).ok()?;
    name.strip_prefix(ROOM_PREFIX).filter(|room| valid_room(room))
}

/// In front of a room's name; keeps rooms apart from groups of other apps, and from names that PHP takes for numbers.
const ROOM_PREFIX: &str = "chat:room:";
/// The group of all who said hello.
const EVERYBODY: &str = "chat:everybody";
/// The room that is listed even when nobody is in it.
const LOBBY: &str = "lobby";
/// People in a room up to which each is listed and announced. Announcing costs the square of it when all come at
/// once, so in larger rooms clients learn only the number, when they refresh.
const PEOPLE_MAX: u64 = 200;
/// Rooms listed, first by name.
const ROOMS_LISTED_MAX: usize = 100;
/// Characters of a message; a longer one is refused.
const TEXT_CHARS_MAX: usize = 2000;
