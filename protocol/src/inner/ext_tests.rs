use super::*;

fn names(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| name.as_bytes().to_vec()).collect()
}

#[test]
fn a_worker_says_who_it_is() {
    let php = br#"{"worker_key":"BW:0","secret_key":"k3y"}"#;
    let mut connect = WorkerConnect {
        worker_key: "BW:0".to_owned(),
        secret_key: Some("k3y".to_owned()),
        ..WorkerConnect::default()
    };
    assert_eq!(WorkerConnect::decode(php), Some(connect.clone()));
    assert_eq!(connect.encode(), php);
    connect.ringway = true;
    assert_eq!(connect.encode(), br#"{"worker_key":"BW:0","secret_key":"k3y","ringway":1}"#);
    assert_eq!(WorkerConnect::decode(&connect.encode()), Some(connect.clone()));
    connect.run = Some(Run(0x0123_4567_89ab_cdef));
    let ours = br#"{"worker_key":"BW:0","secret_key":"k3y","ringway":1,"run":"0123456789abcdef"}"#;
    assert_eq!(connect.encode(), ours);
    assert_eq!(WorkerConnect::decode(ours), Some(connect.clone()));
    connect.window = Some(Window { events: 39, bytes: 262_144 });
    let ours = br#"{"worker_key":"BW:0","secret_key":"k3y","ringway":1,"run":"0123456789abcdef","window_events":39,"window_bytes":262144}"#;
    assert_eq!(connect.encode(), ours);
    assert_eq!(WorkerConnect::decode(ours), Some(connect.clone()));
    (connect.acks, connect.resume) = (true, Some(7));
    let ours = br#"{"worker_key":"BW:0","secret_key":"k3y","ringway":1,"run":"0123456789abcdef","acks":1,"resume":7,"window_events":39,"window_bytes":262144}"#;
    assert_eq!(connect.encode(), ours);
    assert_eq!(WorkerConnect::decode(ours), Some(connect));
}

#[test]
fn a_window_has_both_of_its_parts_or_is_none() {
    let window = |fields: &str| WorkerConnect::decode(format!("{{{fields}}}").as_bytes()).unwrap().window;
    let largest = Window { events: 1, bytes: u32::MAX };
    assert_eq!(window(r#""window_bytes":4294967295,"window_events":1"#), Some(largest));
    for fields in [
        r#""window_events":1"#,
        r#""window_bytes":1"#,
        r#""window_events":0,"window_bytes":1"#,
        r#""window_events":1,"window_bytes":-1"#,
        r#""window_events":1,"window_bytes":4294967296"#,
        r#""window_events":"1","window_bytes":1"#,
        r#""window_events":1.5,"window_bytes":[1]"#,
    ] {
        assert_eq!(window(fields), None, "{fields}");
    }
}

#[test]
fn a_key_is_a_string_or_none() {
    for (body, key) in [
        (r#"{}"#, None),
        (r#"{"secret_key":5}"#, None),
        (r#"{"secret_key":null}"#, None),
        (r#"{"secret_key":["k"]}"#, None),
        (r#"{"secret_key":""}"#, Some("")),
        (r#"{"x":{"secret_key":"a"}, "secret_key" : "\u00e9\/" }"#, Some("é/")),
    ] {
        assert_eq!(ClientConnect::decode(body.as_bytes()).unwrap().secret_key.as_deref(), key, "{body}");
        assert_eq!(WorkerConnect::decode(body.as_bytes()).unwrap().secret_key.as_deref(), key, "{body}");
    }
    for body in ["", "{", "[]", "5", r#"{"secret_key":"k"}x"#, "{\"secret_key\":\"\u{1}\"}"] {
        assert_eq!(ClientConnect::decode(body.as_bytes()), None, "{body}");
    }
}

#[test]
fn targets_in_all_forms() {
    let except = |ids: &[u32]| Targets::Except(ids.iter().copied().collect());
    for (ext, targets) in [
        ("", Targets::All),
        ("{}", Targets::All),
        ("[]", Targets::All),
        ("null", Targets::All),
        (r#"{"exclude":null}"#, Targets::All),
        (
            r#"{"connections":{"1":1,"5":"7","x":[2],"y":"z","z":-1,"w":4294967296}}"#,
            Targets::Only(vec![1, 7]),
        ),
        (r#"{"connections":[3,2.0,"1"]}"#, Targets::Only(vec![3, 2, 1])),
        (r#"{"connections":[]}"#, Targets::Only(vec![])),
        (r#"{"connections":5}"#, Targets::Only(vec![])),
        (r#"{"connections":null,"exclude":{"4":9}}"#, except(&[4])),
        (r#"{"exclude":{"1":1},"connections":{"2":2}}"#, Targets::Only(vec![2])),
        (r#"{"exclude":{"7":1,"8":{},"01":1,"-1":1,"x":1}}"#, except(&[7, 8])),
        (r#"{"exclude":[5]}"#, except(&[0])),
    ] {
        assert_eq!(Targets::decode(ext.as_bytes()).as_ref(), Some(&targets), "{ext}");
        assert_eq!(Targets::decode(&targets.encode()), Some(targets), "{ext}");
    }
    assert_eq!(Targets::decode(b"{"), None);
    assert_eq!(except(&[5, 1]).encode(), br#"{"exclude":{"1":1,"5":5}}"#);
    assert_eq!(except(&[]).encode(), b"");
    assert_eq!(Targets::Only(vec![5, 1]).encode(), br#"{"connections":{"5":5,"1":1}}"#);
}

#[test]
fn groups_with_and_without_exclusions() {
    let targets = GroupTargets { groups: names(&["g1", "7"]), exclude: HashSet::from([1]) };
    assert_eq!(targets.encode(), br#"{"group":["g1","7"],"exclude":{"1":1}}"#);
    assert_eq!(GroupTargets::decode(&targets.encode()), Some(targets));
    let ext = br#"{"exclude":null,"group":{"a":7,"b":"g","c":[],"d":1.5},"more":[[[]]]}"#;
    assert_eq!(
        GroupTargets::decode(ext),
        Some(GroupTargets { groups: names(&["7", "g", "1.5"]), exclude: HashSet::new() })
    );
    assert_eq!(GroupTargets::decode(b"[]"), None);
    assert_eq!(GroupTargets::decode(b""), None);
}

#[test]
fn names_are_strings_or_ints() {
    assert_eq!(decode_names(br#"["u1",100,"\u4f60"]"#), Some(names(&["u1", "100", "你"])));
    assert_eq!(decode_names(br#"{"3":"u1","a":-5}"#), Some(names(&["u1", "-5"])));
    assert_eq!(decode_names(b"[]"), Some(vec![]));
    for broken in ["", "[", "5", "\"u1\"", "[1]]", "\u{ff}"] {
        assert_eq!(decode_names(broken.as_bytes()), None, "{broken}");
    }
    assert_eq!(encode_names(&["u1", "你/"]), br#"["u1","\u4f60\/"]"#);
    assert_eq!(encode_names(&[&b"\xff"[..], b"a"]), br#"["a"]"#);
}

#[test]
fn selections() {
    let all = |fields: &[Field]| Select { fields: fields.to_vec(), condition: None };
    for ext in [
        r#"{"fields":["uid"],"where":[]}"#,
        r#"{"fields":["uid"],"where":{}}"#,
        r#"{"fields":{"5":"uid"}}"#,
        r#"{"fields":["uid"],"where":null}"#,
    ] {
        assert_eq!(Select::decode(ext.as_bytes()), Some(all(&[Field::Uid])), "{ext}");
    }
    for ext in [
        r#"{"fields":[],"where":{"x":1}}"#,
        r#"{"fields":[],"where":[1]}"#,
        r#"{"fields":[],"where":5}"#,
        r#"{"fields":[],"where":{"groups":[]}}"#,
    ] {
        assert_eq!(
            Select::decode(ext.as_bytes()),
            Some(Select { fields: vec![], condition: Some(Where::default()) }),
            "{ext}"
        );
    }
    let ext = br#"{"fields":["groups","id","session"],"where":{"uid":[1,"a"],"connection_id":{"5":6},"groups":["g"]}}"#;
    let select = Select {
        fields: vec![Field::Groups, Field::Unknown("id".to_owned()), Field::Session],
        condition: Some(Where { groups: names(&["g"]), uids: names(&["1", "a"]), connection_ids: vec![6] }),
    };
    assert_eq!(Select::decode(ext), Some(select.clone()));
    assert_eq!(select.encode(), br#"{"fields":["groups","id","session"],"where":{"groups":["g"],"uid":["1","a"],"connection_id":{"6":6}}}"#);
    assert_eq!(Select::decode(&select.encode()), Some(select));
    let nobody = Select { fields: vec![], condition: Some(Where::default()) };
    assert_eq!(Select::decode(&nobody.encode()), Some(nobody));
    assert_eq!(Select::decode(b"[]"), None);
}

#[test]
fn deep_json_is_refused_or_passed_over() {
    let deep = "[".repeat(1_000_000);
    assert_eq!(decode_names(deep.as_bytes()), None);
    let closed = format!("[{}{},1]", &deep[..100_000], "]".repeat(100_000));
    assert!(decode_names(closed.as_bytes()).is_none_or(|names| names == [b"1"]));
}
