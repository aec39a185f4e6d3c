// Draws the reference. Nothing is loaded from elsewhere: the document and all the rest come from this Billing.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  displayRequestDuration: true,
  requestSnippetsEnabled: true,
  validatorUrl: null,
});
