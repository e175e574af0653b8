//! Handlers that use glommio's own timers and tasks.

use std::time::Duration;

use protocol::inner::Cmd;
use ringway_worker::{Client, Events, Gateway, Message, Worker};

use crate::fake::{CLIENT, FakeGateway, FakeRegister, config, sent};

struct OnGlommio;

impl Events for OnGlommio {
    const USES_GLOMMIO: bool = true;

    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
        glommio::timer::sleep(Duration::from_millis(1)).await;
        let (gateway, client) = (gateway.clone(), client.id());
        let answer = async move {
            glommio::timer::sleep(Duration::from_millis(1)).await;
            gateway.send_to_client(client, message);
        };
        glommio::spawn_local(answer).detach();
    }
}

#[test]
fn who_says_so_has_glommios_timers_and_tasks_run() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let running = Worker::start(config(&[&register]), |_| OnGlommio).unwrap();
    let mut link = gateway.accept_worker();
    for text in ["one", "two"] {
        link.message(text);
        let frame = link.frame();
        assert_eq!(sent(&frame), (Cmd::SendToOne as u8, CLIENT, 1, "", text));
    }
    running.stop().unwrap();
}
