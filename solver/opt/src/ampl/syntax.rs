//! The parts of a model as they are written.

/// A number- or text-valued expression, or a condition.
#[derive(Clone, Debug)]
pub(super) enum Expr {
    Number(f64),
    Text(String),
    /// A dummy index, parameter or variable, with its subscripts.
    Name(String, Vec<Expr>),
    Negate(Box<Expr>),
    Not(Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    If(Box<Expr>, Box<Expr>, Option<Box<Expr>>),
    Sum(Box<Indexing>, Box<Expr>),
    Product(Box<Indexing>, Box<Expr>),
    Call(String, Vec<Expr>),
    /// Whether a tuple is a member of a set.
    In(Vec<Expr>, Box<SetExpr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    And,
    Or,
}

#[derive(Clone, Debug)]
pub(super) enum SetExpr {
    Name(String, Vec<Expr>),
    Range(Box<Expr>, Box<Expr>, Option<Box<Expr>>),
    /// Members written out; a member may also be the name of a set.
    Listed(Vec<Vec<Expr>>),
    Union(Box<SetExpr>, Box<SetExpr>),
    Intersection(Box<SetExpr>, Box<SetExpr>),
    Difference(Box<SetExpr>, Box<SetExpr>),
    Cross(Box<SetExpr>, Box<SetExpr>),
    Indexed(Box<Indexing>),
}

/// `{i in S, (j,k) in T: condition}`.
#[derive(Clone, Debug, Default)]
pub(super) struct Indexing {
    pub parts: Vec<(Vec<Dummy>, SetExpr)>,
    pub condition: Option<Expr>,
}

/// One place of an index tuple.
#[derive(Clone, Debug)]
pub(super) enum Dummy {
    /// A new index; within a tuple, a name that is already an index fixes its place instead.
    Name(String),
    /// A place that is fixed.
    Value(Expr),
}

#[derive(Clone, Debug)]
pub(super) struct ParameterDeclaration {
    pub indexing: Indexing,
    pub value: Option<Expr>,
    pub default: Option<Expr>,
}

#[derive(Clone, Debug)]
pub(super) struct SetDeclaration {
    pub indexing: Indexing,
    pub value: Option<SetExpr>,
    pub within: Option<SetExpr>,
    pub dimension: Option<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct VariableDeclaration {
    pub indexing: Indexing,
    pub lower: Vec<Expr>,
    pub upper: Vec<Expr>,
    pub start: Option<Expr>,
    pub definition: Option<Expr>,
}

/// `first relation second relation third`, one or two relations.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub first: Expr,
    pub rest: Vec<(Operator, Expr)>,
}

#[derive(Clone, Debug)]
pub(super) struct ConstraintDeclaration {
    pub name: String,
    pub indexing: Indexing,
    pub relation: Relation,
    /// What the relation is complementary to.
    pub complement: Option<Relation>,
    pub line: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Objective {
    pub maximize: bool,
    pub expression: Expr,
}

/// What runs after the declarations.
#[derive(Clone, Debug)]
pub(super) enum Command {
    /// `let {indexing} name[subscripts] := value`.
    Let {
        indexing: Indexing,
        name: String,
        subscripts: Vec<Expr>,
        value: Assigned,
    },
    /// `fix {indexing} name[subscripts] := value`; the start if there is no value.
    Fix {
        indexing: Indexing,
        name: String,
        subscripts: Vec<Expr>,
        value: Option<Expr>,
    },
    For {
        indexing: Indexing,
        body: Vec<Command>,
    },
    If {
        condition: Expr,
        then: Vec<Command>,
        otherwise: Vec<Command>,
    },
    /// Values of a data section.
    Data(Data),
}

/// The right-hand side of a `let`, read as both where both are possible.
#[derive(Clone, Debug)]
pub(super) struct Assigned {
    pub value: Option<Expr>,
    pub set: Option<SetExpr>,
}

/// A word of a data section.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    Number(f64),
    Text(String),
    /// `.`, no value.
    Missing,
}

/// A statement of a data section.
#[derive(Clone, Debug)]
pub(super) enum Data {
    Set {
        name: String,
        words: Vec<Word>,
        dimension: Option<usize>,
    },
    /// `param name := ...`: one value, or subscripts and a value in turn.
    List {
        name: String,
        default: Option<Word>,
        words: Vec<Word>,
        line: usize,
    },
    /// `param name: columns := rows`.
    Table {
        name: String,
        default: Option<Word>,
        columns: Vec<Word>,
        words: Vec<Word>,
        transposed: bool,
        line: usize,
    },
    /// `param: set: names := subscripts and values in turn`.
    Columns {
        set: Option<String>,
        names: Vec<String>,
        words: Vec<Word>,
        line: usize,
    },
}
