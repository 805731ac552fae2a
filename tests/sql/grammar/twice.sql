-- A name that stands twice is one argument, which is bound once.
SELECT :n::int + :n AS twice, :n AS n
