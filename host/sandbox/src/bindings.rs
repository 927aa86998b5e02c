//! The host's side of `wit/`, generated at build time. Everything here is wasmtime's; nothing is written by hand.

#![allow(missing_docs, reason = "generated: the documentation is in wit/")]
#![allow(unsafe_code, reason = "generated: derived lifting and lowering")]
#![allow(
    clippy::all,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "generated"
)]

wasmtime::component::bindgen!({
    inline: "
        package portcullis:host@0.1.0;

        // Every hook at once: a component exports `lifecycle` and some of the others.
        world policy {
            include portcullis:policy/imports@0.1.0;
            export portcullis:policy/lifecycle@0.1.0;
            export portcullis:policy/authenticate@0.1.0;
            export portcullis:policy/admit@0.1.0;
            export portcullis:policy/route@0.1.0;
            export portcullis:policy/transform-call@0.1.0;
            export portcullis:policy/transform-reply@0.1.0;
            export portcullis:policy/transform-listing@0.1.0;
        }
    ",
    path: "../../wit",
    world: "portcullis:host/policy",
    imports: {
        "portcullis:policy/http": async | trappable,
        "portcullis:policy/fs": async | trappable,
        default: trappable,
    },
    with: {
        "portcullis:policy/types.call": crate::host::CallHandle,
        "portcullis:policy/types.reply": crate::host::ReplyHandle,
        "portcullis:policy/quota.limiter": crate::handles::Limiter,
        "portcullis:policy/jwt.verifier": crate::handles::Verifier,
    },
});
