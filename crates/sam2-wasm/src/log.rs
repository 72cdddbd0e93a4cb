//! What the engine says goes to a function of the page's, level by level.

use std::cell::RefCell;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};
use wasm_bindgen::JsValue;

thread_local! {
    static SINK: RefCell<Option<js_sys::Function>> = const { RefCell::new(None) };
}

/// Sends events at info and above to `sink(level, text)`.
pub fn install(sink: js_sys::Function) {
    SINK.with(|cell| *cell.borrow_mut() = Some(sink));
    // A second engine in the same worker finds the subscriber in place.
    let _ = tracing::subscriber::set_global_default(ToPage);
    // A panic ends the worker, and its trap says no more than "unreachable".
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!("the engine failed: {panic}");
    }));
}

struct ToPage;

impl Subscriber for ToPage {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO && metadata.target().starts_with("sam2")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let level = event.metadata().level().as_str().to_lowercase();
        // Cloned out first: the page's function may log in turn.
        let sink = SINK.with(|cell| cell.borrow().clone());
        if let Some(sink) = sink {
            let text = format!("{}{}", text.message, text.fields);
            // A page whose log function throws loses that line, nothing else.
            let _ = sink.call2(&JsValue::NULL, &level.into(), &text.into());
        }
    }

    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => self.fields.push_str(&format!(" {name}={value:?}")),
        }
    }
}
