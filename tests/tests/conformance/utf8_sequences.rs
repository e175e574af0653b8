//! Byte sequences at the edges of UTF-8, in the order of the public suite's cases 6.5 to 6.23. Each group is tested
//! with its valid sequences first.

/// The Greek word `kosme`, of two- and three-byte characters.
pub(crate) const KOSME: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";

/// Where `KOSME` may be cut without cutting a character.
const KOSME_BOUNDARIES: [usize; 5] = [2, 5, 7, 9, 11];

/// Sequences that belong together.
pub(crate) struct Group {
    pub valid: Vec<Vec<u8>>,
    pub invalid: Vec<Vec<u8>>,
}

/// All groups.
pub(crate) fn groups() -> Vec<Group> {
    let mut groups = vec![
        // 6.5 characters of one to four bytes among others
        valid(&[
            b"hello\x24world",
            b"hello\xc2\xa2world",
            b"hello\xe2\x82\xacworld",
            b"hello\xf0\xa4\xad\xa2world",
            KOSME,
        ]),
        prefixes(),
        // 6.7, 6.8 the first of each length
        valid(&[b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"]),
        invalid(&[b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"]),
        // 6.9, 6.10 the last of each length
        valid(&[b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"]),
        invalid(&[b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"]),
        // 6.11 around the surrogates and the last code point
        Group {
            valid: owned(&[b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf"]),
            invalid: owned(&[b"\xf4\x90\x80\x80"]),
        },
    ];
    groups.extend(broken());
    groups.extend(overlong());
    groups.extend(surrogates());
    groups.push(non_characters());
    // 6.23 the specials block
    groups.push(valid(&[
        b"\xef\xbf\xb9",
        b"\xef\xbf\xba",
        b"\xef\xbf\xbb",
        b"\xef\xbf\xbc",
        b"\xef\xbf\xbd",
        b"\xef\xbf\xbe",
        b"\xef\xbf\xbf",
    ]));
    groups
}

/// 6.6: every prefix of a valid text.
fn prefixes() -> Group {
    let (whole, cut): (Vec<usize>, Vec<usize>) =
        (1..=KOSME.len()).partition(|size| KOSME_BOUNDARIES.contains(size));
    let prefix = |size: usize| KOSME[..size].to_vec();
    Group { valid: whole.into_iter().map(prefix).collect(), invalid: cut.into_iter().map(prefix).collect() }
}

/// 6.12 to 6.16: continuations without a start, starts without a continuation, bytes that occur nowhere.
fn broken() -> [Group; 5] {
    let mut continuations: Vec<Vec<u8>> = vec![vec![0x80], vec![0xbf]];
    continuations.extend((2..=6).map(|size| b"\x80\xbf".iter().copied().cycle().take(size).collect()));
    continuations.push((0x80..=0xbf).collect());

    let starts = [0xc0..=0xdf, 0xe0..=0xef, 0xf0..=0xf7, 0xf8..=0xfb, 0xfc..=0xfd];
    let lonely =
        starts.map(|bytes: std::ops::RangeInclusive<u8>| bytes.flat_map(|byte| [byte, b' ']).collect());

    let cut: [&[u8]; 10] = [
        b"\xc0",
        b"\xe0\x80",
        b"\xf0\x80\x80",
        b"\xf8\x80\x80\x80",
        b"\xfc\x80\x80\x80\x80",
        b"\xdf",
        b"\xef\xbf",
        b"\xf7\xbf\xbf",
        b"\xfb\xbf\xbf\xbf",
        b"\xfd\xbf\xbf\xbf\xbf",
    ];
    [
        Group { valid: Vec::new(), invalid: continuations },
        Group { valid: Vec::new(), invalid: lonely.to_vec() },
        invalid(&cut),
        invalid(&[&cut.concat()]),
        invalid(&[b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"]),
    ]
}

/// 6.17 to 6.19: a slash, the largest of each length, and NUL, in more bytes than they need.
fn overlong() -> [Group; 3] {
    [
        invalid(&[
            b"\xc0\xaf",
            b"\xe0\x80\xaf",
            b"\xf0\x80\x80\xaf",
            b"\xf8\x80\x80\x80\xaf",
            b"\xfc\x80\x80\x80\x80\xaf",
        ]),
        invalid(&[
            b"\xc1\xbf",
            b"\xe0\x9f\xbf",
            b"\xf0\x8f\xbf\xbf",
            b"\xf8\x87\xbf\xbf\xbf",
            b"\xfc\x83\xbf\xbf\xbf\xbf",
        ]),
        invalid(&[
            b"\xc0\x80",
            b"\xe0\x80\x80",
            b"\xf0\x80\x80\x80",
            b"\xf8\x80\x80\x80\x80",
            b"\xfc\x80\x80\x80\x80\x80",
        ]),
    ]
}

/// 6.20, 6.21: halves of UTF-16 pairs, alone and in pairs.
fn surrogates() -> [Group; 2] {
    let high: [&[u8]; 4] = [b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf"];
    let low: [&[u8]; 2] = [b"\xed\xb0\x80", b"\xed\xbf\xbf"];
    let mut alone = owned(&high);
    alone.extend(owned(&[low[0], b"\xed\xbe\x80", low[1]]));
    let pairs = high.iter().flat_map(|high| low.iter().map(move |low| [*high, *low].concat())).collect();
    [Group { valid: Vec::new(), invalid: alone }, Group { valid: Vec::new(), invalid: pairs }]
}

/// 6.22: the last two code points of every plane name no character, but are valid.
fn non_characters() -> Group {
    let planes = (0..=0x10_u32).flat_map(|plane| [plane << 16 | 0xfffe, plane << 16 | 0xffff]);
    let characters = planes.map(|code| char::from_u32(code).expect("no surrogate"));
    Group {
        valid: characters.map(|character| character.to_string().into_bytes()).collect(),
        invalid: Vec::new(),
    }
}

fn valid(sequences: &[&[u8]]) -> Group {
    Group { valid: owned(sequences), invalid: Vec::new() }
}

fn invalid(sequences: &[&[u8]]) -> Group {
    Group { valid: Vec::new(), invalid: owned(sequences) }
}

fn owned(sequences: &[&[u8]]) -> Vec<Vec<u8>> {
    sequences.iter().map(|sequence| sequence.to_vec()).collect()
}
