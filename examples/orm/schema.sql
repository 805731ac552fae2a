-- The tables of the example. `psql -f examples/orm/schema.sql`
CREATE TABLE goods (
    id    int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name  text NOT NULL UNIQUE,
    price float8 NOT NULL CHECK (price >= 0),
    stock int NOT NULL DEFAULT 0 CHECK (stock >= 0)
);

CREATE TABLE sales (
    id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    goods int NOT NULL REFERENCES goods,
    count int NOT NULL CHECK (count > 0)
);
