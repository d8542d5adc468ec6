-- Rejects that have come to their end. $1: their numbers
delete from lrs_extract.reject r where r.reject_id = any ($1)
