//! What a session holds about somebody who chats, and what names may look like.

use serde::{Deserialize, Serialize};

use super::{ErrorCode, Refusal};
use ringway_worker::{Client, php};

/// Somebody who chats. Without a name: somebody who has not said hello.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Person {
    /// At most [`NAME_CHARS_MAX`].
    pub name: String,
    /// At most [`ROOMS_MAX`], in the order of joining.
    pub rooms: Vec<String>,
}

impl Person {
    pub(super) fn of(client: &Client) -> Person {
        client.with_session(Person::from_session)
    }

    /// Nobody, if the session is of another app.
    pub(super) fn from_session(session: &php::Array) -> Person {
        php::from_array(session).unwrap_or_default()
    }

    pub(super) fn to_session(&self) -> php::Array {
        let rooms: Vec<&str> = self.rooms.iter().map(String::as_str).collect();
        php::Array::from([
            ("name", php::Value::from(self.name.as_str())),
            ("rooms", php::Value::from(php::Array::from(rooms))),
        ])
    }

    pub(super) fn is_in(&self, room: &str) -> bool {
        self.rooms.iter().any(|joined| joined == room)
    }

    /// Adds a room; one that was joined already stays.
    pub(super) fn enter(&mut self, room: &str) -> Result<(), Refusal> {
        if !valid_room(room) {
            let why = format_args!("A room's name has 1 to {ROOM_CHARS_MAX} letters, digits, - _ or dots.");
            return Err(Refusal::new(ErrorCode::Room, why));
        }
        if self.is_in(room) {
            return Ok(());
        }
        if self.rooms.len() >= ROOMS_MAX {
            let why = format_args!("You cannot be in more than {ROOMS_MAX} rooms.");
            return Err(Refusal::new(ErrorCode::Room, why));
        }
        self.rooms.push(room.to_owned());
        Ok(())
    }

    /// Takes a room away, if it was joined.
    pub(super) fn leave(&mut self, room: &str) -> bool {
        let before = self.rooms.len();
        self.rooms.retain(|joined| joined != room);
        self.rooms.len() < before
    }
}

/// The name without spaces around it, if it may be shown to others.
pub(super) fn valid_name(name: &str) -> Option<&str> {
    let name = name.trim();
    // "0" is no uid (WIRE.md §6).
    let fits = (1..=NAME_CHARS_MAX).contains(&name.chars().count()) && name != "0";
    (fits && !name.chars().any(disturbs)).then_some(name)
}

pub(super) fn valid_room(room: &str) -> bool {
    (1..=ROOM_CHARS_MAX).contains(&room.chars().count())
        && room.chars().all(|char| char.is_alphanumeric() || matches!(char, '-' | '_' | '.'))
}

/// Characters by which a name could disturb the line that it stands in, or pass for another name unseen.
fn disturbs(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Characters of a person's name.
pub(super) const NAME_CHARS_MAX: usize = 32;
/// Characters of a room's name.
const ROOM_CHARS_MAX: usize = 32;
/// Rooms that one person is in at a time. The session travels with every message, so it has to stay short.
const ROOMS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_hold_people() {
        let person = Person { name: "Ann".into(), rooms: vec!["7".into(), "tea".into()] };
        assert_eq!(Person::from_session(&person.to_session()), person);
        assert_eq!(Person::from_session(&php::Array::from([("name", 7)])), Person::default());
        assert_eq!(Person::from_session(&php::Array::new()), Person::default());
    }

    #[test]
    fn names_are_short_and_plain() {
        assert_eq!(valid_name("  Zoë  Müller "), Some("Zoë  Müller"));
        for wrong in ["", "   ", " 0 ", "a\nb", "a\u{202e}b", "a\u{200b}", &"x".repeat(33)] {
            assert_eq!(valid_name(wrong), None, "{wrong:?}");
        }
        assert!(valid_name(&"ü".repeat(32)).is_some());
        for wrong in ["", "a b", "<b>", "a/b", "#a", &"x".repeat(33)] {
            assert!(!valid_room(wrong), "{wrong:?}");
        }
        assert!(valid_room("0") && valid_room("茶-2.5_x"));
    }

    #[test]
    fn rooms_are_entered_once_and_not_without_end() {
        let mut person = Person::default();
        for index in 0..ROOMS_MAX {
            assert!(person.enter(&index.to_string()).is_ok());
        }
        assert!(person.enter("3").is_ok());
        assert_eq!(person.rooms.len(), ROOMS_MAX);
        assert!(person.enter("more").is_err());
        assert!(person.leave("3") && !person.leave("3"));
        assert!(person.enter("more").is_ok());
    }
}
