DROP FUNCTION fold;
DROP TABLE roll_up_position;
DROP TABLE roll_ups;
