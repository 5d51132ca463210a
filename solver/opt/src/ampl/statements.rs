//! The parser of statements: declarations, commands and data sections.

use super::AmplFault;
use super::lex::Token;
use super::parse::Parser;
use super::syntax::{
    Assigned, Command, ConstraintDeclaration, Data, Objective, Operator, ParameterDeclaration, SetDeclaration,
    VariableDeclaration, Word,
};
use std::collections::HashMap;

/// The statements of a model and its data.
#[derive(Clone, Debug, Default)]
pub(super) struct Source {
    pub sets: HashMap<String, SetDeclaration>,
    pub parameters: HashMap<String, ParameterDeclaration>,
    /// In the order of their declaration.
    pub variables: Vec<(String, VariableDeclaration)>,
    pub constraints: Vec<ConstraintDeclaration>,
    pub objectives: Vec<Objective>,
    pub commands: Vec<Command>,
}

/// Statements that neither declare nor assign.
const IGNORED: [&str; 12] =
    ["option", "solve", "display", "printf", "print", "reset", "close", "model", "write", "expand", "check", "suffix"];

/// Statements that change the model in ways that are not read.
const UNSUPPORTED: [&str; 9] = ["node", "arc", "problem", "drop", "restore", "table", "read", "repeat", "commands"];

impl Source {
    /// Reads the statements of a text; `data` tells whether it begins in a data section.
    pub fn read(&mut self, text: &str, data: bool) -> Result<(), AmplFault> {
        let mut parser = Parser::new(text)?;
        let mut data = data;
        while parser.peek().is_some() {
            if parser.take_mark(";") {
                continue;
            }
            if parser.is_word("data") && matches!(parser.peek_after(), Some(Token::Mark(";"))) {
                data = true;
                parser.next();
                continue;
            }
            if parser.is_word("model") && matches!(parser.peek_after(), Some(Token::Mark(";"))) {
                data = false;
                parser.next();
                continue;
            }
            self.statement(&mut parser, data)?;
        }
        Ok(())
    }

    fn statement(&mut self, parser: &mut Parser, data: bool) -> Result<(), AmplFault> {
        let line = parser.line();
        let word = match parser.peek() {
            Some(Token::Name(word)) => word.clone(),
            _ => return parser.unexpected("a statement"),
        };
        match word.as_str() {
            "set" | "param" if data => {
                let statements = data_statement(parser)?;
                self.commands.extend(statements.into_iter().map(Command::Data));
            }
            "set" => self.set(parser)?,
            "param" => self.parameter(parser)?,
            "var" => self.variable(parser)?,
            "minimize" | "maximize" => {
                parser.next();
                parser.name()?;
                if parser.is_mark("{") {
                    return Err(AmplFault::Unsupported { line, feature: "an indexed objective" });
                }
                parser.expect(":")?;
                let expression = parser.arithmetic()?;
                parser.expect(";")?;
                self.objectives.push(Objective { maximize: word == "maximize", expression });
            }
            "subject" => {
                parser.next();
                if !parser.take_word("to") {
                    return parser.unexpected("to");
                }
                self.constraint(parser)?;
            }
            "let" | "fix" | "for" | "if" => {
                let command = command(parser)?;
                self.commands.push(command);
            }
            word if IGNORED.contains(&word) => skip(parser),
            word if UNSUPPORTED.contains(&word) => {
                return Err(AmplFault::Unsupported { line, feature: "a statement other than declarations and values" });
            }
            _ => self.constraint(parser)?,
        }
        Ok(())
    }

    fn set(&mut self, parser: &mut Parser) -> Result<(), AmplFault> {
        parser.next();
        let name = parser.name()?;
        let mut set =
            SetDeclaration { indexing: parser.optional_indexing()?, value: None, within: None, dimension: None };
        while !parser.take_mark(";") {
            if parser.take_mark(":=") || parser.take_mark("=") || parser.take_word("default") {
                set.value = Some(parser.set()?);
            } else if parser.take_word("within") || parser.take_word("in") {
                set.within = Some(parser.set()?);
            } else if parser.take_word("dimen") {
                match parser.next() {
                    Some(Token::Number(dimension)) if dimension >= 1.0 => set.dimension = Some(dimension as usize),
                    _ => return parser.unexpected("a dimension"),
                }
            } else if !(parser.take_mark(",") || parser.take_word("ordered")) {
                return parser.unexpected("an attribute of a set");
            }
        }
        self.sets.insert(name, set);
        Ok(())
    }

    fn parameter(&mut self, parser: &mut Parser) -> Result<(), AmplFault> {
        parser.next();
        let name = parser.name()?;
        let mut parameter = ParameterDeclaration { indexing: parser.optional_indexing()?, value: None, default: None };
        while !parser.take_mark(";") {
            if parser.take_mark(":=") || parser.take_mark("=") {
                parameter.value = Some(parser.arithmetic()?);
            } else if parser.take_word("default") {
                parameter.default = Some(parser.arithmetic()?);
            } else if parser.take_word("in") || parser.take_word("within") {
                parser.set()?;
            } else if ["<=", ">=", "<", ">", "!=", "<>"].iter().any(|mark| parser.take_mark(mark)) {
                parser.arithmetic()?;
            } else if !(parser.take_mark(",")
                || parser.take_word("integer")
                || parser.take_word("symbolic")
                || parser.take_word("binary"))
            {
                return parser.unexpected("an attribute of a parameter");
            }
        }
        self.parameters.insert(name, parameter);
        Ok(())
    }

    fn variable(&mut self, parser: &mut Parser) -> Result<(), AmplFault> {
        parser.next();
        let name = parser.name()?;
        let mut variable = VariableDeclaration {
            indexing: parser.optional_indexing()?,
            lower: Vec::new(),
            upper: Vec::new(),
            start: None,
            definition: None,
        };
        while !parser.take_mark(";") {
            if parser.take_mark(":=") || parser.take_word("default") {
                variable.start = Some(parser.arithmetic()?);
            } else if parser.take_mark(">=") {
                variable.lower.push(parser.arithmetic()?);
            } else if parser.take_mark("<=") {
                variable.upper.push(parser.arithmetic()?);
            } else if parser.take_mark("=") {
                variable.definition = Some(parser.arithmetic()?);
            } else if parser.is_word("binary") || parser.is_word("integer") {
                return Err(AmplFault::Unsupported { line: parser.line(), feature: "an integer variable" });
            } else if !parser.take_mark(",") {
                return parser.unexpected("an attribute of a variable");
            }
        }
        self.variables.push((name, variable));
        Ok(())
    }

    fn constraint(&mut self, parser: &mut Parser) -> Result<(), AmplFault> {
        let line = parser.line();
        let name = parser.name()?;
        let indexing = parser.optional_indexing()?;
        parser.expect(":")?;
        let relation = parser.relation()?;
        let complement = if parser.take_word("complements") { Some(parser.relation()?) } else { None };
        parser.expect(";")?;
        let usable = |relation: &super::syntax::Relation| {
            relation
                .rest
                .iter()
                .all(|(o, _)| matches!(o, Operator::Equal | Operator::LessEqual | Operator::GreaterEqual))
        };
        if !usable(&relation) || !complement.as_ref().is_none_or(usable) {
            return Err(AmplFault::Unsupported { line, feature: "a strict relation between expressions" });
        }
        self.constraints.push(ConstraintDeclaration { name, indexing, relation, complement, line });
        Ok(())
    }
}

/// Skips a statement.
fn skip(parser: &mut Parser) {
    while let Some(token) = parser.next() {
        if token == Token::Mark(";") {
            break;
        }
    }
}

fn command(parser: &mut Parser) -> Result<Command, AmplFault> {
    if parser.take_word("let") {
        let indexing = parser.optional_indexing()?;
        let name = parser.name()?;
        let subscripts = parser.subscripts()?;
        parser.expect(":=")?;
        let ends = |parser: &Parser| {
            if parser.is_mark(";") || parser.is_mark("}") { Ok(()) } else { parser.unexpected(";") }
        };
        // Which of the two is meant depends on the declaration of the name.
        let start = parser.position();
        let set = parser.attempt(|parser| {
            let set = parser.set()?;
            ends(parser)?;
            Ok(set)
        });
        let after_set = parser.position();
        parser.set_position(start);
        let value = parser.attempt(|parser| {
            let value = parser.arithmetic()?;
            ends(parser)?;
            Ok(value)
        });
        match (&set, &value) {
            (None, None) => return parser.arithmetic().and_then(|_| parser.unexpected(";")),
            (Some(_), None) => parser.set_position(after_set),
            _ => {}
        }
        // The last statement of a block may end with the block.
        if !parser.take_mark(";") {
            ends(parser)?;
        }
        return Ok(Command::Let { indexing, name, subscripts, value: Assigned { value, set } });
    }
    if parser.take_word("fix") {
        let indexing = parser.optional_indexing()?;
        let name = parser.name()?;
        let subscripts = parser.subscripts()?;
        let value = if parser.take_mark(":=") { Some(parser.arithmetic()?) } else { None };
        parser.expect(";")?;
        return Ok(Command::Fix { indexing, name, subscripts, value });
    }
    if parser.take_word("for") {
        let indexing = parser.indexing()?;
        return Ok(Command::For { indexing, body: block(parser)? });
    }
    if parser.take_word("if") {
        let condition = parser.condition()?;
        if !parser.take_word("then") {
            return parser.unexpected("then");
        }
        let then = block(parser)?;
        let otherwise = if parser.take_word("else") { block(parser)? } else { Vec::new() };
        return Ok(Command::If { condition, then, otherwise });
    }
    parser.unexpected("let, fix, for or if")
}

fn block(parser: &mut Parser) -> Result<Vec<Command>, AmplFault> {
    if !parser.take_mark("{") {
        return Ok(vec![command(parser)?]);
    }
    let mut body = Vec::new();
    while !parser.take_mark("}") {
        let ignored = matches!(parser.peek(), Some(Token::Name(word)) if IGNORED.contains(&word.as_str()));
        if ignored {
            skip(parser);
        } else {
            body.push(command(parser)?);
        }
    }
    Ok(body)
}

fn data_statement(parser: &mut Parser) -> Result<Vec<Data>, AmplFault> {
    let line = parser.line();
    if parser.take_word("set") {
        let name = parser.name()?;
        parser.expect(":=")?;
        let mut words = Vec::new();
        let mut dimension = None;
        while !parser.take_mark(";") {
            if parser.take_mark("(") {
                let before = words.len();
                while !parser.take_mark(")") {
                    words.push(word(parser)?);
                    parser.take_mark(",");
                }
                dimension = Some(words.len() - before);
            } else if parser.take_mark(",") {
            } else if parser.is_mark("..") {
                return Err(AmplFault::Unsupported { line, feature: "a range in a data section" });
            } else {
                words.push(word(parser)?);
            }
        }
        return Ok(vec![Data::Set { name, words, dimension }]);
    }
    parser.next();
    if parser.take_mark(":") {
        return Ok(vec![columns(parser, line)?]);
    }
    let name = parser.name()?;
    let default = if parser.take_word("default") { Some(word(parser)?) } else { None };
    if parser.take_mark(":=") {
        return Ok(vec![Data::List { name, default, words: words(parser)?, line }]);
    }
    if parser.take_mark(";") {
        return Ok(vec![Data::List { name, default, words: Vec::new(), line }]);
    }
    let mut tables = Vec::new();
    while !parser.take_mark(";") {
        let transposed = parser.take_mark("(") && {
            if !parser.take_word("tr") {
                return parser.unexpected("tr");
            }
            parser.expect(")")?;
            true
        };
        parser.expect(":")?;
        let mut columns = Vec::new();
        while !parser.take_mark(":=") {
            columns.push(word(parser)?);
            parser.take_mark(",");
        }
        let mut words = Vec::new();
        while !(parser.is_mark(";") || parser.is_mark(":") || parser.is_mark("(")) {
            if !parser.take_mark(",") {
                words.push(word(parser)?);
            }
        }
        tables.push(Data::Table { name: name.clone(), default: default.clone(), columns, words, transposed, line });
    }
    Ok(tables)
}

fn columns(parser: &mut Parser, line: usize) -> Result<Data, AmplFault> {
    let mut names = Vec::new();
    let mut set = None;
    while !parser.take_mark(":=") {
        names.push(parser.name()?);
        if parser.take_mark(":") && set.is_none() {
            set = names.pop();
        }
        parser.take_mark(",");
    }
    Ok(Data::Columns { set, names, words: words(parser)?, line })
}

fn words(parser: &mut Parser) -> Result<Vec<Word>, AmplFault> {
    let mut words = Vec::new();
    while !parser.take_mark(";") {
        if parser.is_mark(":") || parser.is_mark("[") {
            return Err(AmplFault::Unsupported { line: parser.line(), feature: "a table of several parts" });
        }
        if !parser.take_mark(",") {
            words.push(word(parser)?);
        }
    }
    Ok(words)
}

fn word(parser: &mut Parser) -> Result<Word, AmplFault> {
    let negative = parser.take_mark("-");
    if !negative {
        parser.take_mark("+");
    }
    match parser.next() {
        Some(Token::Number(value)) => Ok(Word::Number(if negative { -value } else { value })),
        Some(Token::Name(text) | Token::Text(text)) if !negative => Ok(Word::Text(text)),
        Some(Token::Mark(".")) if !negative => Ok(Word::Missing),
        _ => {
            parser.set_position(parser.position() - 1);
            parser.unexpected("a value")
        }
    }
}
