//! Compressed websocket messages, with somebody else's client, and what an operator sees of them.

use std::process::Command;

use ringway_tests::status::counter;
use ringway_tests::{Cluster, Listen};

/// Everything that python-websockets may offer; sizes of Autobahn's section 12, whole and in fragments.
const SCRIPT: &str = r#"
import asyncio, json, random, sys, websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory as Offer

OFFERS = [
    ([Offer()], True),
    ([Offer(client_max_window_bits=True)], True),
    ([Offer(client_max_window_bits=9)], True),
    ([Offer(server_no_context_takeover=True, client_no_context_takeover=True)], True),
    ([Offer(server_max_window_bits=15, client_max_window_bits=12)], True),
    ([Offer(server_max_window_bits=10)], False),
    ([Offer(server_max_window_bits=10), Offer()], True),
    ([], False),
]

def texts():
    random.seed(1)
    for size in [0, 16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072]:
        rows = ""
        while len(rows) < size:
            rows += json.dumps({"id": random.randrange(10**6), "name": "Größe", "on": True})
        yield rows[:size]

async def main():
    for extensions, compresses in OFFERS:
        async with websockets.connect(sys.argv[1], compression=None, extensions=extensions) as client:
            assert bool(client.protocol.extensions) == compresses, (extensions, client.protocol.extensions)
            for text in texts():
                for message in [text, text.encode(), random.randbytes(len(text))]:
                    await client.send(message)
                    assert await client.recv() == message
                    if not message:
                        continue
                    for size in [256, 1024, 4096, 32768]:
                        await client.send(message[at:at + size] for at in range(0, len(message), size))
                        assert await client.recv() == message
    print("closed with", client.close_code)

asyncio.run(main())
"#;

#[test]
fn pythons_websockets_compress_and_inflate() {
    let Some(python) = std::env::var_os("RINGWAY_PYTHON") else {
        return eprintln!(
            "SKIPPED: RINGWAY_PYTHON names no Python that has websockets; scripts/test has one"
        );
    };
    let flags = ["--compression", "--compress-min-size", "16"];
    let cluster = Cluster::builder().gateway_flags(&flags).admin().start();
    let url = format!("ws://{}", cluster.address(0, Listen::Websocket));
    let output = Command::new(python).args(["-c", SCRIPT, &url]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "closed with 1000\n");
    // Behind that of the register.
    let admin = cluster.admin_addresses()[1];
    // Of six clients each, empty messages too, which are not made smaller.
    let (inflated, compressed) = (counter(admin, "messages_inflated"), counter(admin, "messages_compressed"));
    assert!(inflated > 6 * 33, "{inflated}");
    assert!(compressed > 6 * 30 && compressed < inflated, "{compressed}");
    assert!(counter(admin, "compression_saved_bytes") > 1_000_000);
    cluster.stop();
}
