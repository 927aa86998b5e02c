//! The macro that exports one hook, with the metadata of its world beside it.
//!
//! Metadata travels in custom sections whose names start with `component-type`, as every component encoder expects.
//! Each section needs a name of its own: linkers join sections of one name, and joined metadata cannot be read.

use std::fmt::Write;

use wit_component::{StringEncoding, metadata};
use wit_parser::Resolve;

use super::HookWorld;

/// `__portcullis_export!(hook, Component)`, one arm per hook, and one for `lifecycle`.
pub fn hook_macro(resolve: &Resolve, hooks: &[HookWorld]) -> anyhow::Result<String> {
    let mut text = String::from(
        "/// Exports one interface of the component; the metadata of its world goes with it.\n\
         #[doc(hidden)]\n#[macro_export]\nmacro_rules! __portcullis_export {\n",
    );
    text.push_str(&arm("lifecycle", None));
    for hook in hooks {
        let bytes = metadata::encode(resolve, hook.world, StringEncoding::UTF8, None)?;
        text.push_str(&arm(&hook.hook, Some((&hook.name, &bytes))));
    }
    let known: Vec<&str> = hooks.iter().map(|hook| hook.hook.as_str()).collect();
    write!(
        text,
        "    ($other:ident, $component:ident) => {{\n        \
             compile_error!(concat!(\"no hook is called `\", stringify!($other), \"`; there are {known}\"));\n    \
             }};\n}}\n",
        known = known.join(", ")
    )?;
    Ok(text)
}

fn arm(interface: &str, metadata: Option<(&str, &[u8])>) -> String {
    let section = metadata.map_or_else(String::new, |(world, bytes)| {
        format!(
            "        const _: () = {{\n            \
             #[unsafe(link_section = \"component-type:portcullis-sdk:{world}\")]\n            \
             #[doc(hidden)]\n            \
             static METADATA: [u8; {len}] = *b\"\\\n{literal}\";\n        }};\n",
            len = bytes.len(),
            literal = byte_literal(bytes),
        )
    });
    format!(
        "    ({interface}, $component:ident) => {{\n        \
         $crate::bindings::exports::portcullis::policy::{interface}::__export_portcullis_policy_{interface}_0_1_0_cabi!(\n            \
         $component with_types_in $crate::bindings::exports::portcullis::policy::{interface}\n        );\n\
         {section}    }};\n"
    )
}

/// The inside of a byte string literal, in lines of some 100 columns.
fn byte_literal(bytes: &[u8]) -> String {
    const LINE_COLUMNS: usize = 100;
    let mut text = String::new();
    let mut columns = 0;
    for byte in bytes {
        if columns >= LINE_COLUMNS {
            text.push_str("\\\n");
            columns = 0;
        }
        let before = text.len();
        match byte {
            // A space after a line break would be skipped by the compiler.
            b' ' => text.push_str("\\x20"),
            _ => text.extend(byte.escape_ascii().map(char::from)),
        }
        columns += text.len() - before;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::byte_literal;

    #[test]
    fn literals_keep_every_byte() {
        let cases: [(&str, &[u8], &str); 4] = [
            ("letters", b"abc", "abc"),
            ("quotes", b"\"\\", "\\\"\\\\"),
            ("binary", &[0, 255, b'\n'], "\\x00\\xff\\n"),
            ("spaces", b" a", "\\x20a"),
        ];
        for (name, bytes, want) in cases {
            assert_eq!(byte_literal(bytes), want, "{name}");
        }
    }
}
