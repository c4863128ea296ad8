# What a bucket may have, as Terraform's AWS provider makes, reads and removes it.
variable "endpoint" { type = string }
variable "access_key" { type = string }
variable "secret_key" { type = string }

terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = ">= 5.0" }
  }
}
provider "aws" {
  region                      = "us-east-1"
  access_key                  = var.access_key
  secret_key                  = var.secret_key
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
  skip_region_validation      = true
  s3_use_path_style           = true
  endpoints {
    s3 = var.endpoint
  }
}
resource "aws_s3_bucket" "b" {
  bucket = "tf-bucket"
  tags = { team = "blue" }
}
resource "aws_s3_bucket_versioning" "v" {
  bucket = aws_s3_bucket.b.id
  versioning_configuration { status = "Enabled" }
}
resource "aws_s3_bucket_cors_configuration" "c" {
  bucket = aws_s3_bucket.b.id
  cors_rule {
    allowed_methods = ["GET"]
    allowed_origins = ["https://example.test"]
    max_age_seconds = 60
  }
}
resource "aws_s3_bucket_ownership_controls" "o" {
  bucket = aws_s3_bucket.b.id
  rule { object_ownership = "BucketOwnerPreferred" }
}
resource "aws_s3_bucket_public_access_block" "p" {
  bucket = aws_s3_bucket.b.id
  block_public_acls = true
  block_public_policy = false
  ignore_public_acls = true
  restrict_public_buckets = false
}
resource "aws_s3_bucket_policy" "pol" {
  bucket = aws_s3_bucket.b.id
  policy = jsonencode({Version="2012-10-17", Statement=[{Sid="ro",Effect="Allow",Principal="*",Action=["s3:GetObject"],Resource=["arn:aws:s3:::tf-bucket/*"]}]})
  depends_on = [aws_s3_bucket_public_access_block.p]
}
resource "aws_s3_bucket_acl" "acl" {
  bucket = aws_s3_bucket.b.id
  acl = "private"
  depends_on = [aws_s3_bucket_ownership_controls.o]
}
resource "aws_s3_bucket_request_payment_configuration" "rp" {
  bucket = aws_s3_bucket.b.id
  payer = "BucketOwner"
}
resource "aws_s3_object" "x" {
  bucket = aws_s3_bucket.b.id
  key = "hello"
  content = "world"
  tags = { a = "b" }
  depends_on = [aws_s3_bucket_versioning.v]
}
data "aws_s3_bucket" "d" { bucket = aws_s3_bucket.b.id }
data "aws_s3_objects" "l" {
 bucket = aws_s3_bucket.b.id 
 depends_on = [aws_s3_object.x]
}
output "keys" { value = data.aws_s3_objects.l.keys }
