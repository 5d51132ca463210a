//! The recursive-descent parser of models; statements are in [`super::statements`].

use super::AmplFault;
use super::lex::{Placed, Token, tokens};
use super::syntax::{Dummy, Expr, Indexing, Operator, Relation, SetExpr};

/// A position in a list of tokens.
pub(super) struct Parser {
    tokens: Vec<Placed>,
    at: usize,
}

impl Parser {
    pub fn new(text: &str) -> Result<Self, AmplFault> {
        Ok(Self { tokens: tokens(text)?, at: 0 })
    }

    pub fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|placed| &placed.token)
    }

    pub fn peek_after(&self) -> Option<&Token> {
        self.tokens.get(self.at + 1).map(|placed| &placed.token)
    }

    pub fn position(&self) -> usize {
        self.at
    }

    pub fn set_position(&mut self, at: usize) {
        self.at = at;
    }

    pub fn line(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |placed| placed.line)
    }

    pub fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += 1;
        token
    }

    pub fn unexpected<T>(&self, expected: &'static str) -> Result<T, AmplFault> {
        let found = self.peek().map_or("the end".to_string(), Token::describe);
        Err(AmplFault::Syntax { line: self.line(), expected, found })
    }

    pub fn is_mark(&self, mark: &str) -> bool {
        matches!(self.peek(), Some(Token::Mark(found)) if *found == mark)
    }

    pub fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Name(found)) if found == word)
    }

    pub fn take_mark(&mut self, mark: &str) -> bool {
        let found = self.is_mark(mark);
        self.at += usize::from(found);
        found
    }

    pub fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    pub fn expect(&mut self, mark: &'static str) -> Result<(), AmplFault> {
        if self.take_mark(mark) { Ok(()) } else { self.unexpected(mark) }
    }

    pub fn name(&mut self) -> Result<String, AmplFault> {
        match self.next() {
            Some(Token::Name(name)) => Ok(name),
            _ => {
                self.at -= 1;
                self.unexpected("a name")
            }
        }
    }

    /// The result of a parser, or nothing and the position as before where it fails.
    pub fn attempt<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, AmplFault>) -> Option<T> {
        let before = self.at;
        match parse(self) {
            Ok(value) => Some(value),
            Err(_) => {
                self.at = before;
                None
            }
        }
    }

    /// `[a, b]`, or nothing.
    pub fn subscripts(&mut self) -> Result<Vec<Expr>, AmplFault> {
        let mut subscripts = Vec::new();
        if self.take_mark("[") {
            subscripts.push(self.arithmetic()?);
            while self.take_mark(",") {
                subscripts.push(self.arithmetic()?);
            }
            self.expect("]")?;
        }
        Ok(subscripts)
    }

    /// `{...}`, or nothing.
    pub fn optional_indexing(&mut self) -> Result<Indexing, AmplFault> {
        if self.is_mark("{") { self.indexing() } else { Ok(Indexing::default()) }
    }

    pub fn indexing(&mut self) -> Result<Indexing, AmplFault> {
        self.expect("{")?;
        let mut indexing = Indexing::default();
        loop {
            indexing.parts.push(self.part()?);
            if !self.take_mark(",") {
                break;
            }
        }
        if self.take_mark(":") {
            indexing.condition = Some(self.condition()?);
        }
        self.expect("}")?;
        Ok(indexing)
    }

    fn part(&mut self) -> Result<(Vec<Dummy>, SetExpr), AmplFault> {
        let dummies = self.attempt(|parser| {
            let dummies = if parser.take_mark("(") {
                let mut dummies = vec![parser.dummy()?];
                while parser.take_mark(",") {
                    dummies.push(parser.dummy()?);
                }
                parser.expect(")")?;
                dummies
            } else {
                vec![Dummy::Name(parser.name()?)]
            };
            if parser.take_word("in") { Ok(dummies) } else { parser.unexpected("in") }
        });
        Ok((dummies.unwrap_or_default(), self.set()?))
    }

    fn dummy(&mut self) -> Result<Dummy, AmplFault> {
        match (self.peek(), self.peek_after()) {
            (Some(Token::Name(name)), Some(Token::Mark("," | ")"))) => {
                let name = name.clone();
                self.at += 1;
                Ok(Dummy::Name(name))
            }
            _ => Ok(Dummy::Value(self.arithmetic()?)),
        }
    }

    pub fn set(&mut self) -> Result<SetExpr, AmplFault> {
        let mut left = self.crossed_set()?;
        loop {
            let join = match self.peek() {
                Some(Token::Name(word)) if word == "union" => SetExpr::Union,
                Some(Token::Name(word)) if word == "inter" => SetExpr::Intersection,
                Some(Token::Name(word)) if word == "diff" => SetExpr::Difference,
                _ => return Ok(left),
            };
            self.at += 1;
            left = join(Box::new(left), Box::new(self.crossed_set()?));
        }
    }

    fn crossed_set(&mut self) -> Result<SetExpr, AmplFault> {
        let mut left = self.primary_set()?;
        while self.take_word("cross") {
            left = SetExpr::Cross(Box::new(left), Box::new(self.primary_set()?));
        }
        Ok(left)
    }

    fn primary_set(&mut self) -> Result<SetExpr, AmplFault> {
        let range = self.attempt(|parser| {
            let first = parser.sum()?;
            parser.expect("..")?;
            let last = parser.sum()?;
            let step = if parser.take_word("by") { Some(Box::new(parser.sum()?)) } else { None };
            Ok(SetExpr::Range(Box::new(first), Box::new(last), step))
        });
        if let Some(range) = range {
            return Ok(range);
        }
        if self.is_mark("{") {
            if let Some(listed) = self.attempt(Self::listed) {
                return Ok(listed);
            }
            return Ok(SetExpr::Indexed(Box::new(self.indexing()?)));
        }
        if self.take_mark("(") {
            let set = self.set()?;
            self.expect(")")?;
            return Ok(set);
        }
        if self.is_word("setof") || self.is_word("ordered") {
            return self.unexpected("a set");
        }
        let name = self.name()?;
        Ok(SetExpr::Name(name, self.subscripts()?))
    }

    fn listed(&mut self) -> Result<SetExpr, AmplFault> {
        self.expect("{")?;
        let mut members = Vec::new();
        if self.take_mark("}") {
            return Ok(SetExpr::Listed(members));
        }
        loop {
            let tuple = self.attempt(|parser| {
                parser.expect("(")?;
                let tuple = parser.list()?;
                parser.expect(")")?;
                if tuple.len() > 1 { Ok(tuple) } else { parser.unexpected("a tuple") }
            });
            members.push(match tuple {
                Some(tuple) => tuple,
                None => vec![self.arithmetic()?],
            });
            if !self.take_mark(",") {
                break;
            }
        }
        self.expect("}")?;
        Ok(SetExpr::Listed(members))
    }

    fn list(&mut self) -> Result<Vec<Expr>, AmplFault> {
        let mut list = vec![self.arithmetic()?];
        while self.take_mark(",") {
            list.push(self.arithmetic()?);
        }
        Ok(list)
    }

    /// `a relation b`, `a relation b relation c`.
    pub fn relation(&mut self) -> Result<Relation, AmplFault> {
        let first = self.arithmetic()?;
        let mut rest = Vec::new();
        while let Some(operator) = self.comparison() {
            self.at += 1;
            rest.push((operator, self.arithmetic()?));
        }
        Ok(Relation { first, rest })
    }

    fn comparison(&self) -> Option<Operator> {
        match self.peek() {
            Some(Token::Mark("=" | "==")) => Some(Operator::Equal),
            Some(Token::Mark("<>" | "!=")) => Some(Operator::Unequal),
            Some(Token::Mark("<")) => Some(Operator::Less),
            Some(Token::Mark("<=")) => Some(Operator::LessEqual),
            Some(Token::Mark(">")) => Some(Operator::Greater),
            Some(Token::Mark(">=")) => Some(Operator::GreaterEqual),
            _ => None,
        }
    }

    pub fn condition(&mut self) -> Result<Expr, AmplFault> {
        let mut left = self.conjunction()?;
        while self.take_word("or") || self.take_mark("||") {
            left = Expr::Binary(Operator::Or, Box::new(left), Box::new(self.conjunction()?));
        }
        Ok(left)
    }

    fn conjunction(&mut self) -> Result<Expr, AmplFault> {
        let mut left = self.negation()?;
        while self.take_word("and") || self.take_mark("&&") {
            left = Expr::Binary(Operator::And, Box::new(left), Box::new(self.negation()?));
        }
        Ok(left)
    }

    fn negation(&mut self) -> Result<Expr, AmplFault> {
        if self.take_word("not") || self.take_mark("!") {
            return Ok(Expr::Not(Box::new(self.negation()?)));
        }
        if let Some(grouped) = self.attempt(|parser| {
            parser.expect("(")?;
            let inner = parser.condition()?;
            parser.expect(")")?;
            // `(a + b) < c` and `(i,j) in S` are no grouped conditions.
            match parser.peek() {
                Some(Token::Mark("}" | ")" | "&&" | "||" | ";")) | None => Ok(inner),
                Some(Token::Name(word)) if word == "then" || word == "and" || word == "or" => Ok(inner),
                _ => parser.unexpected("the end of a condition"),
            }
        }) {
            return Ok(grouped);
        }
        let tuple = self.attempt(|parser| {
            parser.expect("(")?;
            let tuple = parser.list()?;
            parser.expect(")")?;
            if parser.is_word("in") { Ok(tuple) } else { parser.unexpected("in") }
        });
        let left = match tuple {
            Some(tuple) => tuple,
            None => vec![self.arithmetic()?],
        };
        if self.take_word("in") {
            return Ok(Expr::In(left, Box::new(self.set()?)));
        }
        let mut left = left;
        let left = left.remove(0);
        match self.comparison() {
            Some(operator) => {
                self.at += 1;
                Ok(Expr::Binary(operator, Box::new(left), Box::new(self.arithmetic()?)))
            }
            None => Ok(left),
        }
    }

    /// An expression without relations.
    pub fn arithmetic(&mut self) -> Result<Expr, AmplFault> {
        if self.take_word("if") {
            let condition = self.condition()?;
            if !self.take_word("then") {
                return self.unexpected("then");
            }
            let then = self.arithmetic()?;
            let otherwise = if self.take_word("else") { Some(Box::new(self.arithmetic()?)) } else { None };
            return Ok(Expr::If(Box::new(condition), Box::new(then), otherwise));
        }
        self.sum()
    }

    fn sum(&mut self) -> Result<Expr, AmplFault> {
        let mut left = self.term()?;
        loop {
            let operator = if self.take_mark("+") {
                Operator::Add
            } else if self.take_mark("-") {
                Operator::Subtract
            } else {
                return Ok(left);
            };
            left = Expr::Binary(operator, Box::new(left), Box::new(self.term()?));
        }
    }

    fn term(&mut self) -> Result<Expr, AmplFault> {
        let mut left = self.signed()?;
        loop {
            let operator = if self.take_mark("*") {
                Operator::Multiply
            } else if self.take_mark("/") {
                Operator::Divide
            } else {
                return Ok(left);
            };
            left = Expr::Binary(operator, Box::new(left), Box::new(self.signed()?));
        }
    }

    fn signed(&mut self) -> Result<Expr, AmplFault> {
        if self.take_mark("-") {
            return Ok(Expr::Negate(Box::new(self.signed()?)));
        }
        if self.take_mark("+") {
            return self.signed();
        }
        for (word, reduction) in [("sum", Expr::Sum as fn(Box<Indexing>, Box<Expr>) -> Expr), ("prod", Expr::Product)] {
            if self.is_word(word) && matches!(self.peek_after(), Some(Token::Mark("{"))) {
                self.at += 1;
                let indexing = self.indexing()?;
                return Ok(reduction(Box::new(indexing), Box::new(self.term()?)));
            }
        }
        let base = self.primary()?;
        if self.take_mark("^") || self.take_mark("**") {
            // Right-associative, and the exponent may carry a sign.
            return Ok(Expr::Binary(Operator::Power, Box::new(base), Box::new(self.signed()?)));
        }
        Ok(base)
    }

    fn primary(&mut self) -> Result<Expr, AmplFault> {
        match self.peek().cloned() {
            Some(Token::Number(value)) => {
                self.at += 1;
                Ok(Expr::Number(value))
            }
            Some(Token::Text(text)) => {
                self.at += 1;
                Ok(Expr::Text(text))
            }
            Some(Token::Mark("(")) => {
                self.at += 1;
                let inner = self.arithmetic()?;
                self.expect(")")?;
                Ok(inner)
            }
            Some(Token::Name(word)) if word == "if" => self.arithmetic(),
            Some(Token::Name(name)) => {
                self.at += 1;
                if self.take_mark("(") {
                    let arguments = self.list()?;
                    self.expect(")")?;
                    return Ok(Expr::Call(name, arguments));
                }
                Ok(Expr::Name(name, self.subscripts()?))
            }
            _ => self.unexpected("an expression"),
        }
    }
}
