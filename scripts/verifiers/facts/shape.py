"""The shapes in which an object of the schema is described, expected and observed alike.

Owns: one frozen record a kind of object, and its one-line `text`: two objects are the same when their texts are.
Promises: everything that can hollow a guarantee out shows in the text: table, timing, level, events, condition, enabled
state, function, predicate, columns and their order, method, uniqueness, validity, enforcement, actions, and with which
extension it goes (`goes_with`: ALTER … DEPENDS ON EXTENSION).
Never: knows any table of ours, or talks to a database.
"""

from __future__ import annotations

from dataclasses import dataclass

# pg_trigger.tgtype, as the server's catalog/pg_trigger.h lays it out.
_ROW, _BEFORE, _INSERT, _DELETE, _UPDATE, _TRUNCATE, _INSTEAD = 1, 2, 4, 8, 16, 32, 64
_EVENTS = ((_INSERT, "INSERT"), (_UPDATE, "UPDATE"), (_DELETE, "DELETE"), (_TRUNCATE, "TRUNCATE"))
_FIRED = {"A": "ALWAYS", "O": "ORIGIN ONLY", "R": "REPLICA ONLY", "D": "DISABLED"}
# A foreign key is enforced by four triggers of the server's own: two on the rows that refer, two on those referred to.
_GUARDS = 4
_MATCHES = {"f": "FULL", "p": "PARTIAL"}
GOES_WITH = "GOES WITH EXTENSION"
_ACTIONS = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `type`, `default` and `generated` as the server writes them with only pg_catalog on the path.

    `plain`: a value that may be long must stay in its row, so that a long one is refused. How else it is stored is
    anybody's choice.
    """

    name: str
    type: str
    not_null: bool = False
    default: str | None = None
    generated: str | None = None
    virtual: bool = False
    identity: str = ""
    collation: str | None = None
    plain: bool = False

    @property
    def text(self) -> str:
        """One line, as in CREATE TABLE."""
        parts = [self.type]
        parts += ["STORAGE PLAIN"] if self.plain else []
        parts += [f"COLLATE {self.collation}"] if self.collation else []
        parts += ["NOT NULL"] if self.not_null else []
        parts += [f"DEFAULT {self.default}"] if self.default is not None else []
        if self.generated is not None:
            parts.append(f"GENERATED ALWAYS AS ({self.generated}) {'VIRTUAL' if self.virtual else 'STORED'}")
        parts += [f"IDENTITY {self.identity}"] if self.identity else []
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Constraint:
    """A primary key (p), unique (u), check (c), foreign key (f) or exclusion (x). An empty name: it does not matter.

    `asleep` are the server's own triggers that should enforce a foreign key and do not, see `asleep()`.
    """

    kind: str
    columns: tuple[str, ...] = ()
    name: str = ""
    expression: str | None = None
    references: str | None = None
    referenced: tuple[str, ...] = ()
    on_update: str = "a"
    on_delete: str = "a"
    match: str = "s"
    valid: bool = True
    enforced: bool = True
    deferrable: bool = False
    nulls_not_distinct: bool = False
    asleep: tuple[str, ...] = ()
    goes_with: str | None = None

    @property
    def text(self) -> str:
        """One line, as in ALTER TABLE … ADD, with the states that PostgreSQL leaves out when they are the default."""
        columns = ", ".join(self.columns)
        nulls = " NULLS NOT DISTINCT" if self.nulls_not_distinct else ""
        if self.kind == "p":
            head = f"PRIMARY KEY ({columns})"
        elif self.kind == "u":
            head = f"UNIQUE{nulls} ({columns})"
        elif self.kind == "f":
            head = f"FOREIGN KEY ({columns}) REFERENCES {self.references} ({', '.join(self.referenced)})"
            head += "" if self.match == "s" else f" MATCH {_MATCHES.get(self.match, self.match)}"
            head += f" ON UPDATE {_ACTIONS[self.on_update]} ON DELETE {_ACTIONS[self.on_delete]}"
        elif self.kind == "c":
            head = f"CHECK ({self.expression})"
        else:
            head = f"EXCLUDE ({columns})"
        tail = "" if self.valid else " NOT VALID"
        tail += "" if self.enforced else " NOT ENFORCED"
        tail += f" BUT {', '.join(self.asleep)}" if self.asleep else ""
        tail += f" {GOES_WITH} {self.goes_with}" if self.goes_with else ""
        return head + (" DEFERRABLE" if self.deferrable else "") + tail


@dataclass(frozen=True, slots=True)
class Index:
    """An index. `keys` in order, each with collation, operator class and sort order where not the default."""

    name: str
    keys: tuple[str, ...]
    unique: bool = False
    predicate: str | None = None
    method: str = "btree"
    include: tuple[str, ...] = ()
    nulls_not_distinct: bool = False
    valid: bool = True
    ready: bool = True
    immediate: bool = True
    goes_with: str | None = None

    @property
    def text(self) -> str:
        """One line, as in CREATE INDEX, with its state."""
        parts = ["UNIQUE INDEX" if self.unique else "INDEX", f"USING {self.method} ({', '.join(self.keys)})"]
        parts += [f"INCLUDE ({', '.join(self.include)})"] if self.include else []
        parts += ["NULLS NOT DISTINCT"] if self.nulls_not_distinct else []
        parts += [f"WHERE {self.predicate}"] if self.predicate is not None else []
        parts += [] if self.immediate else ["DEFERRABLE"]
        parts += [] if self.valid else ["INVALID"]
        parts += [] if self.ready else ["NOT READY"]
        parts += [f"{GOES_WITH} {self.goes_with}"] if self.goes_with else []
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger. `function` is schema-qualified with its argument types; `when` the condition without its brackets."""

    name: str
    function: str
    events: tuple[str, ...]
    timing: str = "BEFORE"
    level: str = "ROW"
    columns: tuple[str, ...] = ()
    when: str | None = None
    enabled: str = "ALWAYS"
    arguments: int = 0
    deferrable: bool = False
    goes_with: str | None = None

    @property
    def text(self) -> str:
        """One line, as in CREATE TRIGGER, with its enabled state."""
        events = " OR ".join(self.events) + (f" OF {', '.join(self.columns)}" if self.columns else "")
        parts = [self.timing, events, "FOR EACH", self.level]
        parts += [f"WHEN ({self.when})"] if self.when is not None else []
        parts += ["EXECUTE", self.function]
        parts += [f"WITH {self.arguments} ARGUMENTS"] if self.arguments else []
        parts += ["CONSTRAINT"] if self.deferrable else []
        parts += ["ENABLED", self.enabled]
        return " ".join([*parts, *([f"{GOES_WITH} {self.goes_with}"] if self.goes_with else [])])


@dataclass(frozen=True, slots=True)
class Function:
    """A function without its body, unless that is a parsed `tree`, which the server writes in its own words.

    `arguments` as in pg_get_function_identity_arguments; `required` counts those without a default, and
    `defaults` are the values of the others, in order.
    """

    name: str
    arguments: str
    result: str
    language: str
    volatility: str = "VOLATILE"
    definer: bool = False
    required: int = 0
    defaults: str = ""
    strict: bool = False
    leakproof: bool = False
    parallel: str = "u"
    settings: tuple[str, ...] = ()
    tree: str | None = None

    @property
    def text(self) -> str:
        """One line, as in CREATE FUNCTION."""
        parts = [f"({self.arguments}) RETURNS {self.result} LANGUAGE {self.language} {self.volatility}"]
        parts += [f"{self.required} REQUIRED", "SECURITY DEFINER" if self.definer else "SECURITY INVOKER"]
        parts += [f"DEFAULT {self.defaults}"] if self.defaults else []
        parts += ["STRICT"] if self.strict else []
        parts += ["LEAKPROOF"] if self.leakproof else []
        parts += [] if self.parallel == "u" else [f"PARALLEL {self.parallel}"]
        parts += [f"SET {setting}" for setting in self.settings]
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Table:
    """A table with everything that hangs on it. `options` are storage parameters, e.g. `fillfactor=80`."""

    name: str
    columns: tuple[Column, ...]
    constraints: tuple[Constraint, ...] = ()
    indexes: tuple[Index, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    options: tuple[str, ...] = ()

    def column(self, name: str) -> Column:
        """The column of that name; a wrong call by our own code raises KeyError."""
        return {column.name: column for column in self.columns}[name]

    def constraint(self, name: str) -> Constraint:
        """The constraint of that name."""
        return {constraint.name: constraint for constraint in self.constraints}[name]

    def index(self, name: str) -> Index:
        """The index of that name."""
        return {index.name: index for index in self.indexes}[name]

    def trigger(self, name: str) -> Trigger:
        """The trigger of that name."""
        return {trigger.name: trigger for trigger in self.triggers}[name]


def trigger_timing(bits: int) -> tuple[str, str, tuple[str, ...]]:
    """Timing, level and events of pg_trigger.tgtype."""
    timing = "INSTEAD OF" if bits & _INSTEAD else "BEFORE" if bits & _BEFORE else "AFTER"
    return timing, "ROW" if bits & _ROW else "STATEMENT", tuple(name for bit, name in _EVENTS if bits & bit)


def trigger_state(enabled: str) -> str:
    """Words for pg_trigger.tgenabled."""
    return _FIRED[enabled]


def asleep(guards: tuple[tuple[str, str, str], ...]) -> tuple[str, ...]:
    """What of an enforced foreign key's own triggers does not fire, or is not there.

    Args:
        guards: table, function and pg_trigger.tgenabled of each; the tables on both sides.
    """
    silent = tuple(f"{function} on {table} {_FIRED[state]}" for table, function, state in guards if state not in "OA")
    missing = _GUARDS - len(guards)
    return (*silent, *((f"{missing} of its {_GUARDS} triggers gone",) if missing > 0 else ()))
