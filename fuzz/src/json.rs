//! JSON text as strangers write it: any order, any spaces, keys twice, characters escaped without need.

use crate::random::Random;

/// Keys, few enough to meet again: with quotes, escapes, slashes, nothing at all.
pub const KEYS: [&str; 10] = [
    "a",
    "b",
    "name",
    "_meta",
    "",
    "a/b",
    "m~n",
    "\"q\\",
    "\u{1f980}",
    "\u{1}",
];
const DEPTH_MAX: usize = 6;
const LENGTH_MAX: usize = 5;

/// Any value.
pub fn value(random: &mut Random, depth: usize) -> String {
    match random.below(if depth < DEPTH_MAX { 9 } else { 6 }) {
        0 => "null".to_owned(),
        1 => random.one_in(2).to_string(),
        2 => number(random),
        3..6 => {
            let text = random.pick(&KEYS).copied().unwrap_or_default();
            string(random, text)
        }
        6 => {
            let values = (0..random.below(LENGTH_MAX)).map(|_| value(random, depth + 1));
            let values: Vec<_> = values.collect();
            format!("[{}]", values.join(","))
        }
        _ => object(random, depth),
    }
}

/// Any object.
pub fn object(random: &mut Random, depth: usize) -> String {
    let mut text = String::from("{");
    for place in 0..random.below(LENGTH_MAX) {
        if place > 0 {
            text.push(',');
        }
        let key = random.pick(&KEYS).copied().unwrap_or_default();
        text += spaces(random);
        text += &string(random, key);
        text += spaces(random);
        text.push(':');
        text += spaces(random);
        text += &value(random, depth + 1);
        text += spaces(random);
    }
    text.push('}');
    text
}

fn spaces(random: &mut Random) -> &'static str {
    ["", "", "", " ", "\n\t"]
        .get(random.below(5))
        .copied()
        .unwrap_or_default()
}

fn number(random: &mut Random) -> String {
    let numbers = [
        "0",
        "-1",
        "1.10",
        "1e3",
        "12345678901234567890",
        "-0.0",
        "1E-2",
    ];
    random
        .pick(&numbers)
        .copied()
        .unwrap_or_default()
        .to_owned()
}

/// A string, each of its characters as it is or escaped.
pub fn string(random: &mut Random, text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        if char.is_control() || char == '"' || char == '\\' || random.one_in(6) {
            let mut units = [0; 2];
            for unit in char.encode_utf16(&mut units) {
                quoted += &format!("\\u{unit:04x}");
            }
        } else {
            quoted.push(char);
        }
    }
    quoted.push('"');
    quoted
}
