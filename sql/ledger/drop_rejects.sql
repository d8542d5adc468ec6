-- Rejects that the target has taken. $1: their numbers
delete from lrs_extract.reject r where r.reject_id = any ($1)
