//! JSON by the letters of RFC 8259, numbers as they were written.

/// Deepest nesting.
const NESTING_MAX: usize = 128;

/// A JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Json {
    Word,
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Reads bytes that are one JSON text in UTF-8, without lone surrogates, nested no deeper than 128.
pub(crate) fn parse(bytes: &[u8]) -> Option<Json> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut parser = Parser { chars: text.chars().collect(), at: 0 };
    let json = parser.element(0)?;
    (parser.at == parser.chars.len()).then_some(json)
}

struct Parser {
    chars: Vec<char>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn take_if(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        if wanted(self.peek()?) { self.take() } else { None }
    }

    fn expect(&mut self, wanted: char) -> Option<()> {
        self.take_if(|c| c == wanted).map(drop)
    }

    fn space(&mut self) {
        while self.take_if(|c| matches!(c, ' ' | '\t' | '\n' | '\r')).is_some() {}
    }

    /// Reads a value with white space around it, within so many brackets.
    fn element(&mut self, depth: usize) -> Option<Json> {
        self.space();
        let value = self.value(depth)?;
        self.space();
        Some(value)
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        match self.peek()? {
            '{' => self.object(depth + 1),
            '[' => self.array(depth + 1),
            '"' => self.string().map(Json::Text),
            't' => self.word("true"),
            'f' => self.word("false"),
            'n' => self.word("null"),
            _ => self.number().map(Json::Number),
        }
    }

    fn word(&mut self, word: &str) -> Option<Json> {
        word.chars().try_for_each(|c| self.expect(c)).map(|()| Json::Word)
    }

    fn array(&mut self, depth: usize) -> Option<Json> {
        self.expect('[').filter(|()| depth <= NESTING_MAX)?;
        let mut items = Vec::new();
        self.space();
        if self.expect(']').is_some() {
            return Some(Json::Array(items));
        }
        loop {
            items.push(self.element(depth)?);
            match self.take()? {
                ',' => {}
                ']' => return Some(Json::Array(items)),
                _ => return None,
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json> {
        self.expect('{').filter(|()| depth <= NESTING_MAX)?;
        let mut members = Vec::new();
        self.space();
        if self.expect('}').is_some() {
            return Some(Json::Object(members));
        }
        loop {
            self.space();
            let name = self.string()?;
            self.space();
            self.expect(':')?;
            members.push((name, self.element(depth)?));
            match self.take()? {
                ',' => {}
                '}' => return Some(Json::Object(members)),
                _ => return None,
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        self.expect('"')?;
        // In UTF-16, as escapes are written, so that the standard library judges the surrogates.
        let mut units = Vec::new();
        loop {
            match self.take()? {
                '"' => return String::from_utf16(&units).ok(),
                '\\' => units.push(self.escape()?),
                c if c < ' ' => return None,
                c => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
            }
        }
    }

    fn escape(&mut self) -> Option<u16> {
        Some(match self.take()? {
            '"' => 0x22,
            '\\' => 0x5c,
            '/' => 0x2f,
            'b' => 0x08,
            'f' => 0x0c,
            'n' => 0x0a,
            'r' => 0x0d,
            't' => 0x09,
            'u' => {
                let mut unit = 0;
                for _ in 0..4 {
                    unit = unit * 16 + u16::try_from(self.take()?.to_digit(16)?).ok()?;
                }
                unit
            }
            _ => return None,
        })
    }

    fn digits(&mut self, text: &mut String) -> Option<()> {
        let before = text.len();
        while let Some(c) = self.take_if(|c| c.is_ascii_digit()) {
            text.push(c);
        }
        (text.len() > before).then_some(())
    }

    fn number(&mut self) -> Option<String> {
        let mut text = String::new();
        text.extend(self.take_if(|c| c == '-'));
        if self.take_if(|c| c == '0').is_some() {
            text.push('0');
        } else {
            self.digits(&mut text)?;
        }
        if let Some(point) = self.take_if(|c| c == '.') {
            text.push(point);
            self.digits(&mut text)?;
        }
        if let Some(e) = self.take_if(|c| c == 'e' || c == 'E') {
            text.push(e);
            text.extend(self.take_if(|c| c == '+' || c == '-'));
            self.digits(&mut text)?;
        }
        Some(text)
    }
}
