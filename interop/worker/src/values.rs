//! PHP values from and to the JSON of the driver.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ringway_worker::php::{self, Array, Key, Value};
use serde_json::{Map, Value as Json};

/// A value of the driver. `{"serialized":"…"}` stands for one that JSON cannot express, `{"base64":"…"}` for bytes.
pub(crate) fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(bool) => Value::Bool(*bool),
        Json::Number(number) => match number.as_i64() {
            Some(int) => Value::Int(int),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => {
            let mut array = Array::new();
            for item in items {
                array.push(from_json(item));
            }
            Value::Array(array)
        }
        Json::Object(map) => from_map(map),
    }
}

fn from_map(map: &Map<String, Json>) -> Value {
    let text = |key: &str| map.get(key).filter(|_| map.len() == 1).and_then(Json::as_str);
    if let Some(serialized) = text("serialized") {
        return php::decode(serialized.as_bytes()).unwrap_or_default();
    }
    if let Some(base64) = text("base64") {
        return Value::Bytes(STANDARD.decode(base64).unwrap_or_default());
    }
    let mut array = Array::new();
    for (key, item) in map {
        array.insert(key.as_str(), from_json(item));
    }
    Value::Array(array)
}

/// A value as PHP's json_encode writes it with partial output and substitutes for bytes that are no text.
pub(crate) fn to_json(value: &Value) -> Json {
    match value {
        Value::Bool(bool) => Json::from(*bool),
        Value::Int(int) => Json::from(*int),
        Value::Float(float) if float.is_finite() => Json::from(*float),
        Value::Float(_) => Json::from(0),
        Value::Bytes(bytes) => Json::from(String::from_utf8_lossy(bytes)),
        Value::Array(array) => array_to_json(array),
        Value::Object(object) => {
            let is_public = |key: &Key| !key.to_bytes().starts_with(&[0]);
            let public = object.properties.iter().filter(|(key, _)| is_public(key));
            Json::Object(public.map(|(key, item)| (text(key), to_json(item))).collect())
        }
        Value::Null | Value::Custom(_) | Value::Enum(_) | Value::Reference(_) => Json::Null,
    }
}

/// A list or an object, as PHP tells them apart.
pub(crate) fn array_to_json(array: &Array) -> Json {
    if array.is_list() {
        return Json::Array(array.values().map(to_json).collect());
    }
    Json::Object(array.iter().map(|(key, item)| (text(key), to_json(item))).collect())
}

fn text(key: &Key) -> String {
    String::from_utf8_lossy(&key.to_bytes()).into_owned()
}
