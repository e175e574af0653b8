//! What a call says of gateways that are silent, absent, gone, wrong or full, and that it harms no other call.

use std::net::{SocketAddrV4, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use gateway_client::{Client, ClientId, Config, Confirm};
use protocol::inner::Cmd;

use crate::fake::{FakeGateway, FakeRegister, KEY, command, config, connect, play};

/// An address where nobody listens.
fn nowhere() -> SocketAddrV4 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string().parse().unwrap()
}

#[tokio::test]
async fn a_silent_gateway_is_missing_and_its_connection_is_not_used_again() {
    let [silent, quick] = [FakeGateway::start(), FakeGateway::start()];
    let register = FakeRegister::with_key(KEY, &[&silent, &quick]);
    let limits = Config { reply_timeout: Duration::from_millis(1500), ..config(&register) };
    let silent_address = silent.address;
    let gateways = play(move || {
        let mut owing = silent.accept();
        command(&mut owing);
        let mut quick = quick.accept();
        for _ in 0..2 {
            command(&mut quick);
            quick.reply("i:3;");
        }
        assert_eq!(owing.receive(), None);
        let mut again = silent.accept();
        command(&mut again);
        again.reply("i:2;");
    });
    let client = Client::connect(limits).await.unwrap();
    let answer = client.client_count().await;
    assert_eq!((answer.value, answer.missing), (3, vec![silent_address]));
    let answer = client.client_count().await;
    assert_eq!((answer.value, answer.missing), (5, vec![]));
    gateways.await.unwrap();
}

#[tokio::test]
async fn a_listed_gateway_that_is_not_there_costs_the_others_nothing() {
    let there = FakeGateway::start();
    let absent = nowhere();
    let register = FakeRegister::with_key(KEY, &[absent, there.address]);
    let client = Client::connect(config(&register)).await.unwrap();
    let gateway = play(move || {
        let mut connection = there.accept();
        assert_eq!(command(&mut connection).body, b"hello");
        assert_eq!(command(&mut connection).cmd, Cmd::GetClientCountByGroup as u8);
        connection.reply("i:1;");
    });
    let delivery = client.send_to_all("hello").await;
    assert_eq!((delivery.reached, delivery.missing), (1, vec![absent]));
    let answer = client.client_count().await;
    assert_eq!((answer.value, answer.missing), (1, vec![absent]));
    gateway.await.unwrap();
}

#[tokio::test]
async fn a_connection_that_was_lost_is_opened_again() {
    let gateway = FakeGateway::start();
    let (client, _register) = connect(&[&gateway]).await;
    let gateway = play(move || {
        let mut first = gateway.accept();
        command(&mut first);
        first.reply("i:1;");
        // The next question is taken and not answered.
        command(&mut first);
        drop(first);
        let mut second = gateway.accept();
        command(&mut second);
        second.reply("i:2;");
    });
    assert_eq!(client.client_count().await.value, 1);
    assert_eq!(client.client_count().await.value, 2);
    gateway.await.unwrap();
}

#[tokio::test]
async fn nonsense_for_an_answer_is_missing() {
    for (nonsense, closes) in [(&b"\xff\xff\xff\xff"[..], true), (b"\0\0\0\x02xx", false)] {
        let gateway = FakeGateway::start();
        let (client, _register) = connect(&[&gateway]).await;
        let address = gateway.address;
        let gateway = play(move || {
            let mut connection = gateway.accept();
            command(&mut connection);
            connection.send_bytes(nonsense);
            while closes && connection.receive().is_some() {}
            if closes {
                // Asked once more, in case the connection had been closed before the question came.
                let mut again = gateway.accept();
                command(&mut again);
                again.send_bytes(nonsense);
            }
        });
        let answer = client.client_count().await;
        assert_eq!((answer.value, answer.missing), (0, vec![address]));
        gateway.await.unwrap();
    }
}

/// One that is frozen: its kernel takes connections and what is sent, and nobody answers.
#[tokio::test]
async fn a_gateway_that_does_not_answer_is_left_out_until_it_does() {
    let [frozen, well] = [FakeGateway::start(), FakeGateway::start()];
    let register = FakeRegister::with_key(KEY, &[&frozen, &well]);
    let limits = Config { reply_timeout: Duration::from_secs(2), ..config(&register) };
    let client = Client::connect(limits).await.unwrap();
    let address = frozen.address;
    let well = play(move || {
        let mut connection = well.accept();
        while let Some(frame) = connection.receive() {
            if frame.cmd == Cmd::GetClientCountByGroup as u8 {
                connection.reply("i:1;");
            }
        }
    });
    let answer = client.client_count().await;
    assert_eq!((answer.value, answer.missing), (1, vec![address]));
    let (go_on, thawed) = std::sync::mpsc::channel::<()>();
    let frozen = play(move || {
        let mut first = frozen.accept();
        assert_eq!(command(&mut first).cmd, Cmd::GetClientCountByGroup as u8);
        assert_eq!(first.receive(), None, "given up");
        let mut probe = frozen.accept();
        thawed.recv().unwrap();
        assert_eq!(command(&mut probe).cmd, Cmd::IsOnline as u8, "no query but whether it is there");
        probe.reply("i:0;");
        let mut second = frozen.accept();
        loop {
            if command(&mut second).cmd == Cmd::GetClientCountByGroup as u8 {
                return second.reply("i:2;");
            }
        }
    });
    // Each would take two seconds and more.
    let hundred = async {
        for _ in 0..100 {
            assert_eq!(client.client_count().await.missing, [address]);
            assert_eq!(client.send_to_all("hello").await.missing, [address]);
        }
    };
    tokio::time::timeout(Duration::from_secs(60), hundred).await.expect("nobody waits for it");
    go_on.send(()).unwrap();
    loop {
        let answer = client.client_count().await;
        if answer.missing.is_empty() {
            assert_eq!(answer.value, 3);
            break;
        }
        assert_eq!(answer.missing, [address]);
    }
    frozen.await.unwrap();
    drop(client);
    well.await.unwrap();
}

#[tokio::test]
async fn a_gateway_without_the_command_for_several_names_is_asked_for_each() {
    let [old, new] = [FakeGateway::start(), FakeGateway::start()];
    let (client, _register) = connect(&[&old, &new]).await;
    let gateways = play(move || {
        let mut connection = old.accept();
        assert_eq!(command(&mut connection).cmd, Cmd::BatchGetClientCountByGroup as u8);
        assert_eq!(connection.receive().unwrap().cmd, Cmd::IsOnline as u8);
        connection.reply("i:0;");
        let first = command(&mut connection);
        let second = connection.receive().unwrap();
        let cmd = Cmd::GetClientCountByGroup as u8;
        assert_eq!((first.cmd, &*first.ext, second.cmd, &*second.ext), (cmd, &b"g1"[..], cmd, &b"7"[..]));
        connection.reply("i:3;");
        connection.reply("i:0;");
        connection
    });
    let newer = play(move || {
        let mut connection = new.accept();
        assert_eq!(command(&mut connection).cmd, Cmd::BatchGetClientCountByGroup as u8);
        connection.reply("a:2:{s:2:\"g1\";i:1;i:7;i:5;}");
        connection.reply("i:0;");
        connection
    });
    let answer = client.client_counts_of_groups(["g1", "7"]).await;
    assert!(answer.is_complete());
    assert_eq!(answer.value, [("g1".into(), 4), ("7".into(), 5)]);
    drop((gateways.await.unwrap(), newer.await.unwrap()));
}

#[tokio::test]
async fn bytes_that_nobody_asked_for_end_the_connection() {
    let gateway = FakeGateway::start();
    let (client, _register) = connect(&[&gateway]).await;
    assert!(client.send_to_all("hello").await.is_complete());
    let gateway = play(move || {
        let mut first = gateway.accept();
        assert_eq!(command(&mut first).body, b"hello");
        first.reply("i:7;");
        assert_eq!(first.receive(), None);
        gateway
    });
    let gateway = gateway.await.unwrap();
    let second = play(move || {
        let mut second = gateway.accept();
        command(&mut second);
        second.reply("i:1;");
    });
    assert_eq!(client.client_count().await.value, 1);
    second.await.unwrap();
}

#[tokio::test]
async fn answers_go_to_those_who_asked_in_order() {
    const COUNT: usize = 50;
    let gateway = FakeGateway::start();
    let (client, _register) = connect(&[&gateway]).await;
    let gateway = play(move || {
        let mut connection = gateway.accept();
        // No answer before the last question: they do not wait for each other.
        let groups: Vec<Vec<u8>> = (0..COUNT).map(|_| command(&mut connection).ext).collect();
        for group in groups {
            connection.reply(&format!("i:{};", String::from_utf8_lossy(&group)));
        }
    });
    let askers: Vec<_> = (1..=COUNT)
        .map(|group| {
            let client = client.clone();
            tokio::spawn(async move { (group as u64, client.client_count_of_group(group).await.value) })
        })
        .collect();
    for asker in askers {
        let (group, count) = asker.await.unwrap();
        assert_eq!(group, count);
    }
    gateway.await.unwrap();
}

#[tokio::test]
async fn a_query_follows_the_commands_before_it() {
    let gateway = FakeGateway::start();
    let (client, _register) = connect(&[&gateway]).await;
    let one = gateway.client(1);
    let gateway = play(move || {
        let mut connection = gateway.accept();
        let cmds: Vec<u8> = (0..3).map(|_| command(&mut connection).cmd).collect();
        connection.reply("i:1;");
        cmds
    });
    assert!(client.join_group(one, "g").await.is_complete());
    assert!(client.send_to_group("g", "hello").await.is_complete());
    assert!(client.is_online(one).await.value);
    let cmds = [Cmd::JoinGroup, Cmd::SendToGroup, Cmd::IsOnline].map(|cmd| cmd as u8);
    assert_eq!(gateway.await.unwrap(), cmds);
}

#[tokio::test]
async fn a_command_counts_as_handled_when_the_question_behind_it_is_answered() {
    let [handles, refuses] = [FakeGateway::start(), FakeGateway::start()];
    let register = FakeRegister::with_key(KEY, &[&handles, &refuses]);
    let settings = Config { confirm: Confirm::Handled, ..config(&register) };
    let client = Client::connect(settings).await.unwrap();
    let refusing = refuses.address;
    let gateways = play(move || {
        let mut connection = handles.accept();
        assert_eq!(command(&mut connection).body, b"hello");
        assert_eq!(command(&mut connection).cmd, Cmd::IsOnline as u8);
        connection.reply("i:0;");
        // As with a wrong key: taken, and closed without a word.
        drop(refuses.accept());
    });
    let delivery = client.send_to_all("hello").await;
    assert_eq!((delivery.reached, delivery.missing), (1, vec![refusing]));
    gateways.await.unwrap();
}

#[tokio::test]
async fn a_made_up_client_id_connects_to_nobody() {
    let [gateway, stranger] = [FakeGateway::start(), FakeGateway::start()];
    let (client, _register) = connect(&[&gateway]).await;
    let made_up: ClientId = stranger.client(1);
    assert_eq!(client.send_to_client(made_up, "psst").await.missing, [stranger.address]);
    assert_eq!(client.send_to_clients(&[made_up], "psst").await.missing, [stranger.address]);
    assert_eq!(client.is_online(made_up).await.missing, [stranger.address]);
    assert!(stranger.is_left_alone() && gateway.is_left_alone());
}

#[tokio::test]
async fn what_no_gateway_takes_is_not_sent() {
    let gateway = FakeGateway::start();
    let (client, _register) = connect(&[&gateway]).await;
    let delivery = client.send_to_all(vec![0; protocol::inner::FRAME_SIZE_MAX]).await;
    assert_eq!((delivery.reached, delivery.missing), (0, vec![gateway.address]));
    // Names that are none concern nobody, and on the wire would mean everybody.
    assert_eq!(client.send_to_uid("0", "nobody").await.reached, 0);
    assert_eq!(client.client_count_of_group("").await.value, 0);
    assert!(gateway.is_left_alone());
}

#[tokio::test]
async fn a_queue_has_its_limit() {
    // It takes the connection and never reads.
    let gateway = FakeGateway::start();
    let register = FakeRegister::with_key(KEY, &[gateway.address]);
    let limits = Config { reply_timeout: Duration::from_secs(2), ..config(&register) };
    let client = Client::connect(limits).await.unwrap();
    let body = Arc::new(vec![0; 5_000_000]);
    let pushes: Vec<_> = (0..20)
        .map(|_| {
            let (client, body) = (client.clone(), Arc::clone(&body));
            tokio::spawn(async move { client.send_to_all(&*body).await.reached })
        })
        .collect();
    let mut reached = 0;
    for push in pushes {
        reached += push.await.unwrap();
    }
    // What fits into the kernel's buffers may have been written, no more.
    assert!(reached <= 4, "{reached} times 5 MB written to nobody");
    drop(gateway);
}

#[tokio::test]
async fn who_waits_for_ever_is_answered() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::with_key(KEY, &[&gateway]);
    let for_ever =
        Config { connect_timeout: Duration::MAX, reply_timeout: Duration::MAX, ..config(&register) };
    let gateway = play(move || {
        let mut connection = gateway.accept();
        command(&mut connection);
        connection.reply("i:1;");
    });
    let client = Client::connect(for_ever).await.unwrap();
    assert_eq!(client.client_count().await.value, 1);
    gateway.await.unwrap();
}
