//! A query string as PHP's parse_str reads it (WIRE.md §4).

use crate::php::{Array, KeyRef, Value};

/// Variables beyond this many are dropped, as by PHP's max_input_vars.
const VARIABLE_COUNT_MAX: usize = 1000;
/// A variable whose name nests deeper (`a[b][c]` is 2) is dropped, as by PHP's max_input_nesting_level.
const NESTING_MAX: usize = 64;

/// The variables of a query string.
pub(super) fn parse_str(query: &[u8]) -> Array {
    let mut variables = Array::new();
    let parts = query.split(|&byte| byte == b'&').filter(|part| !part.is_empty());
    for part in parts.take(VARIABLE_COUNT_MAX) {
        let (name, value) = split_once(part, b'=').unwrap_or((part, &[]));
        register(&url_decode(name), url_decode(value), &mut variables);
    }
    variables
}

/// Sets the variable that `name` means: `a`, `a[]` or `a[k][l]`.
fn register(name: &[u8], value: Vec<u8>, variables: &mut Array) {
    let spaces = name.iter().take_while(|&&byte| byte == b' ').count();
    let name = split_once(name, 0).map_or(name, |(name, _)| name);
    let Some(path) = name.get(spaces..).and_then(Path::new) else {
        return;
    };
    if path.indexes.len() > NESTING_MAX {
        variables.remove(&path.first[..]);
        return;
    }
    let mut array = variables;
    let mut key = Some(&path.first[..]);
    for index in path.indexes {
        let Some(inner) = open(array, key) else {
            return;
        };
        (array, key) = (inner, index);
    }
    match key {
        Some(key) => {
            array.insert(key, value);
        }
        // Without a free key PHP drops the value too.
        None => {
            array.push(value);
        }
    }
}

/// The array under `key`, made one if it is something else, or appended if there is no key.
fn open<'a>(array: &'a mut Array, key: Option<&[u8]>) -> Option<&'a mut Array> {
    let key = match key {
        Some(key) => KeyRef::from(key).to_key(),
        None => array.next_key()?,
    };
    if array.get(&key).is_none_or(|value| value.as_array().is_none()) {
        array.insert(key.clone(), Array::new());
    }
    array.get_mut(&key).and_then(Value::as_array_mut)
}

/// A variable's name taken apart.
struct Path<'a> {
    /// Up to the first `[`, spaces and dots made `_`.
    first: Vec<u8>,
    /// What is in the brackets; `None` for `[]`. One more than [`NESTING_MAX`] are kept at most.
    indexes: Vec<Option<&'a [u8]>>,
}

impl<'a> Path<'a> {
    /// `None`: there is nothing before the first `[`.
    fn new(name: &'a [u8]) -> Option<Path<'a>> {
        let end = name.iter().position(|&byte| byte == b'[').unwrap_or(name.len());
        let mut path =
            Path { first: name[..end].iter().map(|&byte| mangled(byte)).collect(), indexes: Vec::new() };
        let mut rest = &name[end..];
        while let [b'[', inside @ ..] = rest
            && path.indexes.len() <= NESTING_MAX
        {
            // One blank in front of `]` does not make an index of its own.
            let blank =
                inside.first().is_some_and(|byte| byte.is_ascii_whitespace() || *byte == VERTICAL_TAB);
            if inside.get(usize::from(blank)) == Some(&b']') {
                path.indexes.push(None);
                rest = &inside[usize::from(blank) + 1..];
                continue;
            }
            let Some((index, behind)) = split_once(inside, b']') else {
                // A bracket that is never closed is part of the name; behind other brackets it is dropped.
                if path.indexes.is_empty() {
                    path.first.push(b'_');
                    path.first.extend(inside.iter().map(|&byte| mangled(byte)));
                }
                break;
            };
            path.indexes.push(Some(index));
            rest = behind;
        }
        (end > 0).then_some(path)
    }
}

fn mangled(byte: u8) -> u8 {
    if matches!(byte, b' ' | b'.' | b'[') { b'_' } else { byte }
}

fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&byte| byte == separator)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// `+` is a space and `%41` is `A`; a `%` without two hex digits stays.
fn url_decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        decoded.push(match (byte, behind) {
            (b'+', _) => b' ',
            (b'%', [high, low, behind @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest = behind;
                hex_digit(*high) << 4 | hex_digit(*low)
            }
            _ => byte,
        });
    }
    decoded
}

fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        letter => (letter | 0x20) - b'a' + 10,
    }
}

const VERTICAL_TAB: u8 = 0x0b;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::php::to_bytes;

    fn parsed(query: &str) -> String {
        String::from_utf8(to_bytes(&parse_str(query.as_bytes()).into())).unwrap()
    }

    /// What parse_str of PHP 8.2 makes of them.
    #[test]
    fn reads_as_php_does() {
        for (query, serialized) in [
            ("tok=1", r#"a:1:{s:3:"tok";s:1:"1";}"#),
            (
                "a[]=x&a[]=y&b[k]=v&b[k][z]=1",
                r#"a:2:{s:1:"a";a:2:{i:0;s:1:"x";i:1;s:1:"y";}s:1:"b";a:1:{s:1:"k";a:1:{s:1:"z";s:1:"1";}}}"#,
            ),
            ("a[b=1", r#"a:1:{s:3:"a_b";s:1:"1";}"#),
            ("a[b.c d[e=1", r#"a:1:{s:9:"a_b_c_d_e";s:1:"1";}"#),
            ("a b.c=1", r#"a:1:{s:5:"a_b_c";s:1:"1";}"#),
            (" x=1", r#"a:1:{s:1:"x";s:1:"1";}"#),
            ("%20x=1", r#"a:1:{s:1:"x";s:1:"1";}"#),
            ("[x]=1", "a:0:{}"),
            ("[=1", "a:0:{}"),
            ("=1", "a:0:{}"),
            ("+=1", "a:0:{}"),
            ("", "a:0:{}"),
            ("x[ ]=1", r#"a:1:{s:1:"x";a:1:{i:0;s:1:"1";}}"#),
            ("x[\t]=1", r#"a:1:{s:1:"x";a:1:{i:0;s:1:"1";}}"#),
            ("x[  ]=1", r#"a:1:{s:1:"x";a:1:{s:2:"  ";s:1:"1";}}"#),
            ("x[ k]=1", r#"a:1:{s:1:"x";a:1:{s:2:" k";s:1:"1";}}"#),
            ("x[a]b=1", r#"a:1:{s:1:"x";a:1:{s:1:"a";s:1:"1";}}"#),
            ("x[a][=1", r#"a:1:{s:1:"x";a:1:{s:1:"a";s:1:"1";}}"#),
            ("x[a][b=1", r#"a:1:{s:1:"x";a:1:{s:1:"a";s:1:"1";}}"#),
            ("a[x]y[z]=1", r#"a:1:{s:1:"a";a:1:{s:1:"x";s:1:"1";}}"#),
            ("a[[b]]=1", r#"a:1:{s:1:"a";a:1:{s:2:"[b";s:1:"1";}}"#),
            ("a[b.c[d]=1", r#"a:1:{s:1:"a";a:1:{s:5:"b.c[d";s:1:"1";}}"#),
            ("a.b[c.d e]=1", r#"a:1:{s:3:"a_b";a:1:{s:5:"c.d e";s:1:"1";}}"#),
            ("_[=1", r#"a:1:{s:2:"__";s:1:"1";}"#),
            ("a[ b=1", r#"a:1:{s:4:"a__b";s:1:"1";}"#),
            ("a]=1", r#"a:1:{s:2:"a]";s:1:"1";}"#),
            ("a", r#"a:1:{s:1:"a";s:0:"";}"#),
            ("a=b=c", r#"a:1:{s:1:"a";s:3:"b=c";}"#),
            ("a;b=1", r#"a:1:{s:3:"a;b";s:1:"1";}"#),
            ("1=2&01=3", r#"a:2:{i:1;s:1:"2";s:2:"01";s:1:"3";}"#),
            ("a%00b=1", r#"a:1:{s:1:"a";s:1:"1";}"#),
            ("x[1]=a&x[]=b", r#"a:1:{s:1:"x";a:2:{i:1;s:1:"a";i:2;s:1:"b";}}"#),
            ("x[][]=1&x[][]=2", r#"a:1:{s:1:"x";a:2:{i:0;a:1:{i:0;s:1:"1";}i:1;a:1:{i:0;s:1:"2";}}}"#),
            ("x=1&x[y]=2", r#"a:1:{s:1:"x";a:1:{s:1:"y";s:1:"2";}}"#),
            ("a[b]=1&a=2", r#"a:1:{s:1:"a";s:1:"2";}"#),
            ("&&a=1&&", r#"a:1:{s:1:"a";s:1:"1";}"#),
            ("a=%zz%4", r#"a:1:{s:1:"a";s:5:"%zz%4";}"#),
            ("a%5B%5D=%41+%c3%A9", "a:1:{s:1:\"a\";a:1:{i:0;s:4:\"A é\";}}"),
        ] {
            assert_eq!(parsed(query), serialized, "{query}");
        }
    }

    #[test]
    fn keeps_the_limits_of_php() {
        let nested = |depth: usize| format!("y=5&x{}=1", "[a]".repeat(depth));
        assert_eq!(parse_str(nested(NESTING_MAX).as_bytes()).len(), 2);
        assert_eq!(parsed(&nested(NESTING_MAX + 1)), r#"a:1:{s:1:"y";s:1:"5";}"#);
        assert_eq!(parsed(&format!("x[b]=1&{}", nested(100_000))), r#"a:1:{s:1:"y";s:1:"5";}"#);
        let many: Vec<String> = (0..1100).map(|index| format!("v{index}=1")).collect();
        assert_eq!(parse_str(many.join("&").as_bytes()).len(), VARIABLE_COUNT_MAX);
        assert_eq!(parse_str(format!("{}z=1", "&".repeat(1100)).as_bytes()).len(), 1);
    }

    #[test]
    fn takes_the_last_key_for_full() {
        let full = "x[9223372036854775807]=a&x[]=b&x[][]=c";
        assert_eq!(parsed(full), r#"a:1:{s:1:"x";a:1:{i:9223372036854775807;s:1:"a";}}"#);
    }
}
