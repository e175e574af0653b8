//! Serialized PHP values from any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::inner::WebsocketRequest;
use protocol::php;

fuzz_target!(|bytes: &[u8]| {
    let _ = WebsocketRequest::decode(bytes);
    if let Ok(value) = php::decode(bytes) {
        // Bytes are compared: NAN equals nothing, not even itself.
        let encoded = php::to_bytes(&value);
        let again = php::decode(&encoded).expect("what was encoded");
        assert_eq!(php::to_bytes(&again), encoded);
        let _ = php::to_json(&value);
    }
    let (base, update) = bytes.split_at(bytes.len() / 2);
    let _ = php::merge_serialized(base, update, &mut Vec::new());
    let _ = php::merge_serialized(bytes, bytes, &mut Vec::new());
});
