-- The goods below a price, cheapest first.
-- @timeout 2s
SELECT id, name, price FROM goods WHERE price < :price ORDER BY price LIMIT :n = 20
