-- Orders some of the goods: the order, and how many orders there are.
-- @retry 3
-- @isolation serializable
-- @result order
-- @single
INSERT INTO orders (goods, amount) VALUES (:goods, :amount := 1) RETURNING id, goods, amount;

-- @result orders
-- @returns value
SELECT count(*) FROM orders;
